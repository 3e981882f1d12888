"""What is best is best of this training, on the data at hand, and never a model whose loss is no number."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy import ToyData, ToyModule
from helpers.trainers import quiet_trainer
from lightning.pytorch import seed_everything

from seq_modules.callbacks import BestCheckpoint, LastCheckpoint
from seqlight.core.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")


def fit(folder: Path, data: ToyData, epochs: int, resume: Path | None = None, module: Any = None) -> None:
    seed_everything(0, verbose=False)
    trainer = quiet_trainer(folder, BestCheckpoint(), LastCheckpoint(), max_epochs=epochs, log_every_n_steps=2)
    trainer.fit(module or ToyModule(), data, ckpt_path=resume, weights_only=True if resume else None)


def content(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints/best.ckpt", weights_only=True)


def best_forever(folder: Path) -> Path:
    """Gives a best checkpoint a score that no other reaches."""
    path = folder / "checkpoints/best.ckpt"
    held = torch.load(path, weights_only=True)
    key = next(name for name in held["callbacks"] if name.startswith("BestCheckpoint"))
    held["callbacks"][key] |= {"best_model_score": torch.tensor(-1.0)}
    torch.save(held, path)
    return path


def test_other_data_have_a_best_of_their_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit(tmp_path / "a", ToyData(), 1)
    best_forever(tmp_path / "a")
    last = tmp_path / "a/checkpoints/last.ckpt"
    fit(tmp_path / "same", ToyData(batch_size=8), 2, last)
    assert content(tmp_path / "same")["global_step"] == 10
    fit(tmp_path / "other", ToyData(size=80), 3, last)
    assert content(tmp_path / "other")["global_step"] > 10
    assert "data.size was 37 and is now 80: best.ckpt is the best of the validations from here on" in caplog.text


def test_a_best_checkpoint_that_merely_lies_there_is_another_trainings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b"):
        fit(tmp_path / name, ToyData(), 1)
    shutil.copy(best_forever(tmp_path / "b"), tmp_path / "a/checkpoints/best.ckpt")
    fit(tmp_path / "rest", ToyData(), 2, tmp_path / "a/checkpoints/last.ckpt")
    assert content(tmp_path / "rest")["global_step"] > 10
    assert "best.ckpt is of another training than" in caplog.text
    # A best checkpoint that a run has carried over is its own: it goes on to a third.
    fit(tmp_path / "c", ToyData(), 1)
    best_forever(tmp_path / "c")
    fit(tmp_path / "d", ToyData(), 2, tmp_path / "c/checkpoints/last.ckpt")
    fit(tmp_path / "e", ToyData(), 3, tmp_path / "d/checkpoints/last.ckpt")
    assert content(tmp_path / "e")["global_step"] == 10


class NaNAtFirst(ToyModule):
    def on_validation_model_eval(self) -> None:
        super().on_validation_model_eval()
        self.wrong = self.current_epoch == 0

    def step(self, batch: dict[str, Any]) -> Any:
        made = super().step(batch)
        return made if self.training or not self.wrong else made._replace(loss_sum=made.loss_sum * torch.nan)


def test_a_model_whose_loss_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    fit(tmp_path / "nan", ToyData(), 1, module=NaNAtFirst())
    assert not (tmp_path / "nan/checkpoints/best.ckpt").exists()
    fit(tmp_path / "later", ToyData(), 2, module=NaNAtFirst())
    assert content(tmp_path / "later")["global_step"] == 20


def test_a_metric_that_is_not_measured_is_told_before_the_first_step(tmp_path: Path) -> None:
    module = ToyModule()
    trainer = quiet_trainer(tmp_path, BestCheckpoint("val/span_f1", "max"), max_epochs=1)
    with pytest.raises(UserError, match=r"monitor val/span_f1 is not measured .* there are .*val/loss"):
        trainer.fit(module, ToyData())
    assert trainer.global_step == 0


def test_an_empty_file_in_the_place_of_the_best_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fit(tmp_path / "a", ToyData(), 1)
    (tmp_path / "a/checkpoints/best.ckpt").write_bytes(b"")
    fit(tmp_path / "rest", ToyData(), 2, tmp_path / "a/checkpoints/last.ckpt")
    assert "best.ckpt is no best checkpoint by val/loss" in caplog.text
    assert content(tmp_path / "rest")["global_step"] > 5
