"""The callbacks that every run of the command has, beside those of its recipe."""

from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ProgressBar, Timer

from seq_modules.callbacks import (
    Curves,
    EpochLines,
    FinalValidation,
    GracefulStop,
    PredictionWriter,
    RNGState,
    StopWhenDiverged,
    TextStream,
    TimeBudget,
    TimedBar,
    TimeEstimate,
)
from seq_modules.callbacks.run.machine_rates import MachineRates
from seq_modules.callbacks.run.prediction_writer import PredictionFormat


def run_callbacks(command: str, trainer: Any, predictions: PredictionFormat = "jsonl") -> list[Callback]:
    """Makes them.

    Args:
        command: fit, validate, test or predict.
        trainer: The Trainer's settings, with the recipe's callbacks already made.
        predictions: Files that predict writes.
    """
    found: list[Callback] = []
    configured = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
    if command == "fit":
        found += [RNGState(), Curves(), TimeEstimate()]
        if not any(isinstance(callback, StopWhenDiverged) for callback in configured):
            found.append(StopWhenDiverged())
        if trainer.max_time:
            # No schedule knows of Lightning's own Timer.
            found += [MachineRates(), TimeBudget(seconds_of(trainer.max_time))]
    if command == "predict":
        found += [PredictionWriter(kind=predictions), TextStream()]
    if not trainer.enable_progress_bar:
        found += [EpochLines()] if command == "fit" else []  # one line an epoch, for log files
    elif not any(isinstance(callback, ProgressBar) for callback in configured):
        found.append(TimedBar())
    if command == "fit":
        found.append(FinalValidation())  # after all that stop a training
        found.append(GracefulStop())  # after all that have a state
    return found


def seconds_of(max_time: Any) -> float:
    """The Trainer's ``max_time`` in seconds: "DD:HH:MM:SS", a timedelta, or its arguments by name."""
    seconds = Timer(max_time).time_remaining()
    assert seconds is not None
    return seconds
