"""Learning-rate schedules, stepped once an optimiser step."""

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from seq_modules.training.progress import Budget
from seqlight.core.errors import UserError

Schedule = Literal["constant", "cosine", "wsd", "inverse_sqrt"]
ENDLESS = ("constant", "inverse_sqrt")  # schedules that need not know when the training ends


def learning_rate_factor(
    step: int,
    schedule: Schedule,
    warmup_steps: int,
    total_steps: float,
    decay_fraction: float = 1.0,
    min_lr_ratio: float = 0.0,
    used: float = 0.0,
) -> float:
    """Factor on the peak learning rate at a step.

    Args:
        step: Optimiser steps taken so far.
        schedule: What follows the linear warm-up: "constant"; "cosine", half a cosine (Loshchilov & Hutter 2017);
            "wsd" (warm-up, stable, decay), the full rate, then a line down (Zhai et al. 2022; Hu et al. 2024);
            "inverse_sqrt", √((W + 1) / (step + 1)) after W steps of warm-up (Vaswani et al. 2017, 5.3).
        warmup_steps: Steps until the full rate is reached; 0 starts with it.
        total_steps: Length of the training; infinite if only a time budget ends it.
        decay_fraction: Fraction of the training, at its end, in which "wsd" decays; 1 decays from the start.
        min_lr_ratio: Factor at the end of "cosine" and "wsd".
        used: Fraction of a time budget that is used; the progress is this or the steps', whichever is further.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    if schedule == "inverse_sqrt":
        return math.sqrt((warmup_steps + 1) / (step + 1))
    progress = min(1.0, max(used, (step - warmup_steps) / max(1, total_steps - warmup_steps)))
    left = (1 + math.cos(math.pi * progress)) / 2 if schedule == "cosine" else min(1.0, (1 - progress) / decay_fraction)
    return min_lr_ratio + (1 - min_lr_ratio) * left


def scheduler(
    optimizer: Optimizer,
    schedule: Schedule,
    warmup_steps: int,
    total_steps: float,
    decay_fraction: float = 1.0,
    min_lr_ratio: float = 0.0,
    budget: Budget | None = None,
) -> LambdaLR:
    """:func:`learning_rate_factor` as a torch scheduler.

    Raises:
        UserError: The schedule decays, and nothing says when the training ends.
    """
    if schedule not in ENDLESS and budget is None and not math.isfinite(total_steps):
        raise UserError(
            f"schedule: {schedule} needs an end to go to: give trainer.max_epochs, trainer.max_steps or TimeBudget"
        )

    def factor(step: int) -> float:
        used = budget.progress if budget else 0.0
        return learning_rate_factor(step, schedule, warmup_steps, total_steps, decay_fraction, min_lr_ratio, used)

    return LambdaLR(optimizer, factor)
