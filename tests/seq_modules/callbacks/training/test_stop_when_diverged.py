"""A loss that is no number ends training with a line, and leaves the checkpoints of a time before."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.toy import ToyData, ToyModule
from helpers.trainers import quiet_trainer

from seq_modules.callbacks import LastCheckpoint, StopWhenDiverged
from seqlight.core.errors import Diverged, UserError

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


class Lossy(ToyModule):
    """Its training loss is NaN or infinite at some steps."""

    def __init__(self, wrong: set[int], value: float = torch.nan) -> None:
        super().__init__()
        self.wrong, self.value, self.steps = wrong, value, 0

    def step(self, batch: dict[str, Any]) -> Any:
        made = super().step(batch)
        self.steps += self.training
        lost = self.training and self.steps in self.wrong
        return made._replace(loss_sum=made.loss_sum * 0 + self.value) if lost else made


def fit(folder: Path, module: ToyModule, *callbacks: Any, **kwargs: Any) -> None:
    trainer = quiet_trainer(folder, *callbacks, LastCheckpoint(), **{"max_epochs": 2, "log_every_n_steps": 2, **kwargs})
    trainer.fit(module, ToyData())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_few_in_a_row_end_training(tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float) -> None:
    caplog.set_level("INFO")
    module = Lossy({4, 6, 7, 8, 9}, value)
    with pytest.raises(Diverged, match="up to step 8 the loss was NaN or infinite in 3 batches in a row") as ended:
        fit(tmp_path, module, StopWhenDiverged())
    assert "--model.optim.learning_rate" in str(ended.value)
    for step in (4, 6):
        assert caplog.text.count(f"up to step {step} the loss was NaN or infinite in a batch (norm of the weights") == 1
    assert caplog.text.count("training goes on for now") == 2
    assert ended.value.folder == tmp_path
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


def test_divided_weights_are_not_asked_for_their_norm() -> None:
    module: Any = SimpleNamespace(device_mesh=object())  # of which each process holds a part; it has no parameters()
    trainer: Any = SimpleNamespace(global_step=3)
    said = StopWhenDiverged()._said(trainer, module, 2)
    assert said.startswith("up to step 3 the loss was NaN or infinite in 2 batches in a row; give a lower")


def test_single_ones_do_not(tmp_path: Path) -> None:
    fit(tmp_path, Lossy({2, 3, 5, 6}), StopWhenDiverged())
    assert (tmp_path / "checkpoints/last.ckpt").exists()


def test_the_last_loss_counts_alone_and_nothing_is_saved(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"up to step 2 .* in a batch"):
        fit(tmp_path, Lossy({2}), StopWhenDiverged(), max_steps=2)
    assert not (tmp_path / "checkpoints/last.ckpt").exists()


def test_a_save_by_the_clock_waits_for_a_sound_loss(tmp_path: Path) -> None:
    last = LastCheckpoint()
    saved: list[bool] = []
    last.save = lambda trainer: saved.append(True)  # type: ignore[method-assign]
    trainer = quiet_trainer(tmp_path, max_epochs=1)
    last.save_if_sound(trainer, {"loss": torch.tensor(torch.nan)})
    last.save_if_sound(trainer, {"loss": torch.tensor(1.0)})
    last.save_if_sound(trainer, None)
    assert saved == [True, True]


def test_wrong_values() -> None:
    with pytest.raises(UserError, match="patience must be at least 1"):
        StopWhenDiverged(patience=0)


def test_a_rate_without_end_ends_training(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"at step 0 the learning rate is .*, and a step .* give a lower --model"):
        fit(tmp_path, ToyModule(learning_rate=3e38), StopWhenDiverged())
