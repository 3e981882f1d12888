"""What the callbacks measure and decide, against plain counting."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from datamodules import ParityDataModule
from seq_modules import ParityModule
from seq_modules.callbacks import GradientNorm, LengthCurriculum, LengthSweep, StopWhenSolved
from seqlight.core.plots import read_metrics


def trainer(folder: Path, *callbacks: Callback, **kwargs: Any) -> Trainer:
    return quiet_trainer(folder, *callbacks, **{"logger": CSVLogger(folder, "run", "one"), **kwargs})


class WrongAtOnes(ParityModule):
    """Right at every step but the third of a string of ones, and from step 7 on always of the same opinion."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, state: Any = None) -> Any:
        before, at = state if state is not None else (torch.zeros(len(input_ids), 1), 0)
        odd = (input_ids.cumsum(1) + before) % 2
        positions = at + torch.arange(input_ids.shape[1])
        logits = torch.where(positions >= 6, torch.tensor(1.0), odd * 2.0 - 1)
        return logits, (odd[:, -1:], at + input_ids.shape[1])


def test_length_sweep_measures_what_it_says(tmp_path: Path) -> None:
    data = ParityDataModule(test_size=8)
    sweep = LengthSweep(min_length=5, max_length=9, sequences=300, stream_bits=100, chunk=7)
    (result,) = trainer(tmp_path, sweep).test(WrongAtOnes(net={"hidden_size": 1}), data, verbose=False)
    rows = list(csv.DictReader((tmp_path / "run/one/length_sweep.csv").read_text().splitlines()))
    assert [row["length"] for row in rows] == ["5", "6", "7", "8", "9"]
    expected = [1.0, 1.0]
    expected += [data.sequences(n, 300)["labels"][:, -1].float().mean().item() for n in (7, 8, 9)]
    assert [float(row["accuracy"]) for row in rows] == pytest.approx(expected, abs=1e-6)
    assert result["test/sweep_accuracy"] == pytest.approx(sum(expected) / 5)
    assert result["test/sweep_min_accuracy"] == pytest.approx(min(expected))
    labels = data.sequences(100, 1)["labels"][0]
    wrong = (labels[6:] == 0).nonzero()[:, 0] + 6
    assert result["test/stream_errors"] == len(wrong)
    assert result["test/stream_first_error"] == wrong[0]
    assert result["test/stream_accuracy"] == pytest.approx(1 - len(wrong) / 100)
    assert (tmp_path / "run/one/plots/length_sweep.png").stat().st_size > 1000
    few = LengthSweep(min_length=5, max_length=5, sequences=2, stream_bits=100, chunk=20, max_stream_errors=3)
    read, asked = few._stream(WrongAtOnes(net={"hidden_size": 1}), data), 20
    while (wrong < asked).sum() < 3:
        asked += 20
    assert read == (pytest.approx(1 - int((wrong < asked).sum()) / asked), (wrong < asked).sum(), wrong[0])


class Sees(Callback):
    def __init__(self) -> None:
        self.longest: list[int] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.longest.append(0)
        self.longest[-1] = max(self.longest[-1], int(batch["attention_mask"].sum(1).max()))


@pytest.mark.parametrize("workers", [0, 2])
def test_curriculum_lengthens_the_training_data(tmp_path: Path, workers: int) -> None:
    sees = Sees()
    curriculum = LengthCurriculum(start=3, step=4, patience=2, monitor="train/accuracy_all", threshold=0.0)
    data = ParityDataModule(batch_size=64, train_size=256, max_length=9, val_size=8, num_workers=workers)
    fitted = trainer(tmp_path, curriculum, sees, max_epochs=7)
    fitted.fit(ParityModule(net={"hidden_size": 2}), data)
    assert sees.longest == [3, 3, 7, 7, 9, 9, 9]  # the limit is the data's own longest
    logged = [value for _, value in read_metrics(tmp_path / "run/one/metrics.csv")["curriculum/max_length"]]
    assert logged == [3, 7, 7, 9, 9, 9, 9]


def test_curriculum_waits_for_the_model_and_remembers(tmp_path: Path) -> None:
    curriculum = LengthCurriculum(start=3, step=4, limit=9, monitor="train/accuracy_all", threshold=2.0)
    data = ParityDataModule(batch_size=64, train_size=128, max_length=9, val_size=8)
    trainer(tmp_path, curriculum, max_epochs=3).fit(ParityModule(net={"hidden_size": 2}), data)
    assert curriculum.max_length == 3
    other = LengthCurriculum(start=3, limit=9)
    other.load_state_dict({"max_length": 7, "passed": 1})
    assert other.state_dict() == {"max_length": 7, "passed": 1}
    data = ParityDataModule(max_length=9)
    other.on_fit_start(SimpleNamespace(datamodule=data), ParityModule(net={"hidden_size": 1}))  # type: ignore[arg-type]
    assert data.train_max_length == 7


def test_curriculum_names_a_metric_that_is_not_there(tmp_path: Path) -> None:
    data = ParityDataModule(batch_size=64, train_size=64, val_size=8)
    with pytest.raises(ValueError, match=r"monitor no/such is not logged; there are .*val/loss"):
        trainer(tmp_path, LengthCurriculum(monitor="no/such"), max_epochs=1).fit(
            ParityModule(net={"hidden_size": 2}), data
        )


class Scripted(Callback):
    """Puts given values in place of a validation metric."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            pl_module.log("val/script", self.values[trainer.current_epoch])


def test_solved_counts_from_the_first_of_the_validations_that_held(tmp_path: Path) -> None:
    solved = StopWhenSolved(monitor="val/script", threshold=0.9, patience=2)
    data = ParityDataModule(batch_size=64, train_size=128, val_size=8)
    fitted = trainer(tmp_path, Scripted([0.95, 0.5, 0.9, 0.91, 0.1, 0.1]), solved, max_epochs=6)
    fitted.fit(ParityModule(net={"hidden_size": 2}), data)
    assert fitted.current_epoch == 4  # the fourth epoch was the last
    logged = read_metrics(tmp_path / "run/one/metrics.csv")
    assert logged["solved/steps"] == [(8, 6.0)]  # the third epoch, two batches each
    assert logged["solved/seconds"][0][1] > 0


def test_unsolved_logs_nothing(tmp_path: Path) -> None:
    data = ParityDataModule(batch_size=64, train_size=64, val_size=8)
    trainer(tmp_path, StopWhenSolved(threshold=2.0), max_epochs=2).fit(ParityModule(net={"hidden_size": 2}), data)
    assert "solved/steps" not in read_metrics(tmp_path / "run/one/metrics.csv")


def test_gradient_norm_is_taken_before_clipping(tmp_path: Path) -> None:
    data = ParityDataModule(batch_size=64, train_size=64, val_size=8)
    torch.manual_seed(0)
    module = ParityModule(net={"hidden_size": 4})
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainer(tmp_path, GradientNorm(), max_epochs=1, gradient_clip_val=1e-3).fit(module, data)
    ((_, logged),) = read_metrics(tmp_path / "run/one/metrics.csv")["grad/norm"]
    fresh = ParityModule(net={"hidden_size": 4})
    fresh.load_state_dict(before)
    step = fresh.step(data.train_set.__getitems__(range(64)))
    (step.loss_sum / step.num_targets).backward()
    expected = torch.cat([p.grad.flatten() for p in fresh.parameters()]).norm().item()
    assert logged == pytest.approx(expected, rel=1e-4)
    assert logged > 2e-3  # above the norm that clipping leaves


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LengthCurriculum(start=0), "start"),
        (lambda: LengthCurriculum(start=9, limit=3), "limit"),
        (lambda: LengthCurriculum(mode="most"), "mode"),
        (lambda: StopWhenSolved(patience=0), "patience"),
        (lambda: LengthSweep(min_length=9, max_length=3), "max_length"),
        (lambda: LengthSweep(chunk=0), "chunk"),
    ],
)
def test_values_out_of_range(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
