"""How much of a training is done: in steps, or in seconds where it is limited by time."""

import math
from abc import ABC, abstractmethod

from lightning.pytorch import Trainer

from seqlight.core.errors import UserError


class Budget(ABC):
    """What limits a training by something other than steps (seq_modules/callbacks/training/time_budget.py)."""

    @property
    @abstractmethod
    def progress(self) -> float:
        """Fraction of the budget that is used, from 0 to 1."""


def budget_of(trainer: Trainer) -> Budget | None:
    """The budget among the trainer's callbacks; the first if there are several."""
    return next((callback for callback in trainer.callbacks if isinstance(callback, Budget)), None)  # type: ignore[attr-defined]


def progress_of(trainer: Trainer) -> float:
    """Fraction of the training that is done, from 0 to 1: of its steps or of its budget, whichever is further.

    Raises:
        ValueError: The training has no end: neither a number of steps or epochs nor a budget.
    """
    budget, total = budget_of(trainer), trainer.estimated_stepping_batches
    if budget is None and not math.isfinite(total):
        raise UserError("trainer.max_epochs is -1: the training has no end; give it, trainer.max_steps or TimeBudget")
    done = trainer.global_step / max(1, total)
    return min(1.0, max(done, budget.progress if budget else 0.0))


def is_logged_step(trainer: Trainer) -> bool:
    """Whether the step under way is one of every ``log_every_n_steps`` (0 logs none)."""
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and (trainer.global_step + 1) % every == 0
