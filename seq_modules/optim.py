"""Optimiser and learning-rate schedule, per step."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Schedule = Literal["constant", "cosine"]


def adamw(parameters: Iterable[Parameter], learning_rate: float, weight_decay: float) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019) that decays matrices alone, never biases, gains and other vectors."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate)


def learning_rate_factor(step: int, schedule: Schedule, warmup_steps: int, total_steps: float) -> float:
    """Factor on the learning rate at a step: linear warm-up, then constant or half a cosine down to 0.

    Args:
        step: Optimiser steps taken so far.
        schedule: What follows the warm-up.
        warmup_steps: Steps until the full rate is reached; 0 starts with it.
        total_steps: Length of the training; only "cosine" needs it to be finite.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def scheduler(optimizer: Optimizer, schedule: Schedule, warmup_steps: int, total_steps: float) -> LambdaLR:
    """:func:`learning_rate_factor` as a torch scheduler, to be stepped once an optimiser step."""
    if schedule == "cosine" and not math.isfinite(total_steps):
        raise ValueError("schedule: cosine needs an end to go to: give trainer.max_epochs or trainer.max_steps")
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, schedule, warmup_steps, total_steps))
