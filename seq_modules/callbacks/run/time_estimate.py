"""How long a training will take on this machine, from its first steps."""

import math
import statistics
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from seq_modules.callbacks.training.stop_when_solved import StopWhenSolved
from seq_modules.callbacks.training.time_budget import TimeBudget
from seq_modules.training.accumulation import in_window

WARM_UP = 2  # steps that are not measured: compilation, first use of memory
LEAST_STEPS, LEAST_SECONDS = 3, 10.0  # that are measured, both
WORTH_SAYING = 600.0  # seconds of training


class TimeEstimate(Callback):
    """Prints once, on rank 0, how long a training will take if that is more than ten minutes.

    The median time of a step counts, so that a second compilation or a save among the measured steps does not. A
    validation takes as long as the last one, or as the last batch of the sanity check for each of its batches.
    """

    def __init__(self) -> None:
        self._is_done = False
        self._started = 0.0
        self._steps_seen = 0
        self._step_ended: float | None = None  # when the step before ended, later by the validation since then
        self._steps: list[float] = []  # seconds of each measured step
        self._validation_started, self._validation_batch_started = 0.0, 0.0
        self._validation: float | None = None  # seconds

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock; ranks other than 0 measure nothing."""
        self._is_done = self._is_done or not trainer.is_global_zero
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures a step, and prints when there are enough."""
        if self._is_done or in_window(trainer, batch_idx):
            return
        wait_for(pl_module)
        now, before = time.monotonic(), self._step_ended
        self._step_ended = now
        self._steps_seen += 1
        if before is None or self._steps_seen <= WARM_UP:
            return
        self._steps.append(now - before)
        if len(self._steps) >= LEAST_STEPS and sum(self._steps) >= LEAST_SECONDS:
            self._is_done = True
            if line := self.line(trainer, now - self._started):
                trainer.print(line)

    def line(self, trainer: Trainer, elapsed: float) -> str | None:
        """What to print, or None if the training is short or has no end.

        Args:
            trainer: The trainer, between two steps.
            elapsed: Seconds since the fit began.
        """
        step, left = statistics.median(self._steps), trainer.estimated_stepping_batches - trainer.global_step
        for budget in (callback for callback in trainer.callbacks if isinstance(callback, TimeBudget)):  # type: ignore[attr-defined]
            left = min(left, (budget.seconds - budget.used) / step)
        if not math.isfinite(left):
            return None
        left, validations = int(left), validations_in(trainer, left)
        seconds = elapsed + left * step + validations * (self._validation or 0.0)
        if seconds < WORTH_SAYING:
            return None
        parts = [f"{in_words(step)} a step", f"{trainer.global_step + left:,} steps"]
        if validations and self._validation is None:
            parts.append("validations not counted")
        elif validations:
            parts.append(
                f"{validations:,} validation{'s' if validations > 1 else ''} of {in_words(self._validation or 0)}"
            )
        about = "at most about" if may_stop_early(trainer) else "about"
        return f"{about} {in_words(seconds)} on this machine ({', '.join(parts)}; Ctrl-C keeps what is done)"

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the time."""
        self._validation_started = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Knows how long a whole validation takes, and leaves it out of the step's time."""
        if self._is_done or trainer.sanity_checking:
            return
        self._validation = time.monotonic() - self._validation_started
        if self._step_ended is not None:
            self._step_ended += self._validation

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Takes the time."""
        self._validation_batch_started = time.monotonic()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Estimates a validation from the sanity check, whose last batch is past the warm-up."""
        if self._is_done or not trainer.sanity_checking:
            return
        wait_for(pl_module)
        batches = sum(trainer.num_val_batches)
        if math.isfinite(batches):
            self._validation = batches * (time.monotonic() - self._validation_batch_started)


def wait_for(module: LightningModule) -> None:
    """Waits until a GPU has finished its queued work. A CPU has no queue."""
    if module.device.type != "cpu":
        torch.accelerator.synchronize()


def validations_in(trainer: Trainer, steps: float) -> int:
    """How many validations there will be in so many steps."""
    if not trainer.enable_validation:
        return 0
    batches = (trainer.val_check_batch or 0) * (trainer.check_val_every_n_epoch or 1)
    return math.ceil(steps * trainer.accumulate_grad_batches / batches) if 0 < batches < math.inf else 0


def may_stop_early(trainer: Trainer) -> bool:
    """Whether a callback may end the training before its last step."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return any(isinstance(c, EarlyStopping) or (isinstance(c, StopWhenSolved) and c.stop) for c in callbacks)


def in_words(seconds: float) -> str:
    """A time in its usual unit: "350 ms", "2.1 s", "42 minutes", "3.5 hours"."""
    for limit, unit, name, digits in ((1, 0.001, "ms", 0), (120, 1, "s", 1), (7200, 60, "minutes", 0)):
        if seconds < limit:
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
