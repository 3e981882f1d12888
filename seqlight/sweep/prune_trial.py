"""A trial tells Optuna of its validations, and ends early if the pruner says so."""

import math

import optuna
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from seqlight.sweep.sweep_file import Sweep


class PruneTrial(Callback):
    """Reports each validation to Optuna, and ends training where the sweep's pruner says so.

    What is reported is the sweep's metric; if validations do not log it, as one of the test, it is what best.ckpt is
    chosen by. A value that is NaN or infinite is not reported.

    Args:
        trial: The trial.
        sweep: Its sweep.

    Attributes:
        reason: Why the trial was pruned; None while it is not.
    """

    def __init__(self, trial: optuna.Trial, sweep: Sweep) -> None:
        self.trial, self.metric, self.direction = trial, sweep.metric, sweep.direction
        self.validations = 0
        self.reason: str | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports a validation of the training."""
        if trainer.sanity_checking or self.reason:
            return
        self.validations += 1
        name, direction = self.metric, self.direction
        if name not in trainer.callback_metrics:
            best = next(c for c in trainer.callbacks if isinstance(c, ModelCheckpoint))  # type: ignore[attr-defined]
            name, direction = str(best.monitor), "minimize" if best.mode == "min" else "maximize"
        value = float(trainer.callback_metrics.get(name, math.nan))
        if not math.isfinite(value):  # StopWhenDiverged decides about such a training
            return
        self.trial.report(value if direction == self.direction else -value, self.validations)
        if self.trial.should_prune():
            self.reason = f"pruned at validation {self.validations} ({name} {value:.6g})"
            trainer.should_stop = True
