"""The estimate of a training's time, by a clock that the test moves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from datamodules import ParityDataModule
from seq_modules import ParityModule
from seq_modules.callbacks import TimeBudget, TimeEstimate
from seq_modules.callbacks.run import time_estimate
from seq_modules.callbacks.run.time_estimate import in_words
from seq_modules.callbacks.training import time_budget

LATE = {"max_epochs": 1000, "check_val_every_n_epoch": 20}
FIRST, SECOND, STEP, SLOW = 60.0, 20.0, 0.5, 40.0  # compiling, compiling again, seconds of a batch, a save


class Clock(Callback):
    """Moves by what each batch is said to take; ends the training after some batches."""

    def __init__(self, batches: int) -> None:
        self.now, self.batches, self.seen = 1000.0, batches, 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.seen += 1
        self.now += {1: FIRST, 2: SECOND, 15: SLOW}.get(self.seen, STEP)
        trainer.should_stop = self.seen >= self.batches

    def on_validation_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        self.now += 1.0 if trainer.sanity_checking else 3.0


def said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *callbacks: Callback, batches: int = 40, **settings: Any
) -> list[str]:
    """What is printed by a training with 10 batches of training and 4 of validation in an epoch."""
    clock, lines = Clock(batches), []
    for module in (time_estimate, time_budget):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(Trainer, "print", lambda self, line: lines.append(line))
    data = ParityDataModule(batch_size=2, train_size=20, val_size=8, max_length=3)
    fitted = quiet_trainer(folder, *callbacks, TimeEstimate(), clock, **settings)
    fitted.fit(ParityModule(net={"hidden_size": 1}), data)  # type: ignore[arg-type]
    assert clock.seen == batches
    return lines


@pytest.mark.parametrize(
    ("settings", "callbacks", "long", "why"),
    [
        # Two minutes of compilation and a save, then steps of half a second.
        ({"max_steps": 5000, "limit_val_batches": 0}, (), "about 44 minutes", "500 ms a step, 5,000 steps; "),
        ({"max_epochs": 1000, "limit_val_batches": 0}, (), "about 85 minutes", "500 ms a step, 10,000 steps; "),
        # A validation has been; before the first one its time is known from the sanity check, if there was one.
        ({"max_epochs": 1000}, (), "about 4.8 hours", "500 ms a step, 10,000 steps, 999 validations of 12.0 s; "),
        (LATE, (), "about 89 minutes", "500 ms a step, 10,000 steps, 50 validations of 4.0 s; "),
        (LATE | {"num_sanity_val_steps": 0}, (), "about 85 minutes", "10,000 steps, validations not counted; "),
        # Ten batches are three steps: two of four batches, and the rest.
        ({"max_epochs": 1000, "accumulate_grad_batches": 4, "limit_val_batches": 0}, (), "about 102 minutes",
         "2.0 s a step, 3,000 steps; "),
        # One batch an epoch, as of a small table: a validation stands between any two steps.
        ({"max_epochs": 1000, "limit_train_batches": 1}, (), "about 3.5 hours",
         "500 ms a step, 1,000 steps, 985 validations of 12.0 s; "),
        ({"max_epochs": -1, "limit_val_batches": 0}, (TimeBudget(1800),), "about 30 minutes", "500 ms a step, 3,3"),
        (LATE, (EarlyStopping("val/loss"),), "at most about 89 minutes", "50 validations of 4.0 s; "),
    ],
)  # fmt: skip
def test_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], callbacks: Any, long: str, why: str
) -> None:
    (line,) = said(tmp_path, monkeypatch, *callbacks, **settings)
    assert line.startswith(f"{long} on this machine ("), line
    assert why in line
    assert line.endswith("; Ctrl-C keeps what is done)")


@pytest.mark.parametrize(
    "settings",
    [
        {"max_steps": 900, "limit_val_batches": 0},
        {"max_epochs": -1, "limit_val_batches": 0},
        {"max_steps": 5000, "batches": 8},
    ],
    ids=["eight minutes", "no end", "too early to say"],
)
def test_nothing_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    assert said(tmp_path, monkeypatch, **settings) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0052, "5 ms"), (2.14, "2.1 s"), (2520, "42 minutes"), (12600, "3.5 hours"), (864000, "10.0 days")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
