"""What makes the loop lean changes nothing: hooks that are written run, files are whole."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from datamodules import ParityDataModule
from seq_modules import ParityModule
from seqlight.empty_hooks import AT_EACH_STEP, skip_empty_hooks
from seqlight.quick_files import BufferedCSV, DirectCheckpoints


class Hooked(ParityModule):
    """Counts a hook of its own."""

    calls = 0

    def on_after_backward(self) -> None:
        self.calls += 1


class Counting(Callback):
    """Counts two hooks, of which it leaves the others to Lightning."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.calls.append("start")

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.calls.append("end")


def test_hooks_that_are_written_run_and_the_others_are_spared(tmp_path: Path) -> None:
    weights = []
    for lean in (False, True):
        torch.manual_seed(0)
        module, callback = Hooked(hidden_size=3), Counting()
        logger = BufferedCSV(tmp_path, "run", str(lean))
        trainer = Trainer(
            max_epochs=2,
            callbacks=[callback],
            logger=logger,
            default_root_dir=tmp_path,
            plugins=[DirectCheckpoints()],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            accelerator="cpu",
            use_distributed_sampler=False,
            log_every_n_steps=1,
        )
        if lean:
            skip_empty_hooks(module, trainer.callbacks)  # type: ignore[attr-defined]
            spared = {name for name in AT_EACH_STEP if getattr(callback, name) is None}
            assert spared == set(AT_EACH_STEP) - {"on_train_batch_start", "on_train_batch_end"}
            assert module.on_before_zero_grad is None
        trainer.fit(module, ParityDataModule(batch_size=16, train_size=64, val_size=8))
        assert callback.calls == ["start", "end"] * 8
        assert module.calls == 8
        with (tmp_path / "run" / str(lean) / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows if row["train/loss"]] == list(range(8))  # none is lost in the buffer
        assert sum(bool(row["val/loss"]) for row in rows) == 2
        assert sum(bool(row["train/accuracy_last"]) for row in rows) == 2
        weights.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.equal(*weights)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path, files = tmp_path / "new folder" / "best.ckpt", DirectCheckpoints()
    files.save_checkpoint({"a": torch.ones(2)}, path)

    class Unsaveable:
        def __reduce__(self) -> Any:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        files.save_checkpoint({"a": torch.zeros(2), "b": Unsaveable()}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["best.ckpt"]
