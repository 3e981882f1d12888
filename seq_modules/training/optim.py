"""Optimisers and learning-rate schedule, per step."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from seq_modules.training.muon import MuonAdamW, hidden_matrices
from seq_modules.training.progress import Budget
from seqlight.core.errors import UserError

Schedule = Literal["constant", "cosine", "linear"]


def adamw(
    parameters: Iterable[Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    fused: bool = False,
) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019) that decays matrices alone, never biases, gains and other vectors.

    Args:
        parameters: Those to train; frozen ones are left out.
        learning_rate: Peak learning rate.
        weight_decay: Of matrices.
        betas: Decay of the mean gradient and of the mean squared one.
        fused: One kernel for all weights, quicker the larger the net, equal up to rounding.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate, betas=betas, fused=fused)
    # Otherwise Lightning refuses to clip gradients under mixed precision, bf16 too, where nothing is scaled.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def muon(
    module: nn.Module,
    net: nn.Module,
    learning_rate: float,
    muon_learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
    iterations: int = 5,
) -> MuonAdamW:
    """Muon for the matrices of the net's blocks, which decay, and AdamW without decay for all else of the module.

    Args:
        module: What to train.
        net: The part of it that has ``blocks``.
        learning_rate: Peak learning rate of AdamW: embeddings, head, gains and biases.
        muon_learning_rate: Peak learning rate of Muon.
        weight_decay: Of the blocks' matrices.
        betas: Of AdamW.
        iterations: Of Newton-Schulz.
    """
    hidden = hidden_matrices(net)
    rest = [p for p in module.parameters() if p.requires_grad and p not in hidden]
    rule = {"rule": "muon", "lr": muon_learning_rate, "weight_decay": weight_decay, "steps": iterations}
    groups = [
        {"params": [p for p, n in hidden.items() if n == stacked], "stacked": stacked, **rule}
        for stacked in sorted(set(hidden.values()))
    ]
    if rest:
        groups.append({"params": rest, "rule": "adamw", "lr": learning_rate, "weight_decay": 0.0, "betas": betas})
    return MuonAdamW(groups, polynomial="polar_express")  # nearer to orthogonal than Jordan's at the same cost


def learning_rate_factor(
    step: int,
    schedule: Schedule,
    warmup_steps: int,
    total_steps: float,
    cooldown: float = 1.0,
    final_share: float = 0.0,
    used: float = 0.0,
) -> float:
    """Factor on the learning rate at a step: linear warm-up, then constant, half a cosine, or a trapezoid's end.

    Args:
        step: Optimiser steps taken so far.
        schedule: What follows the warm-up. "linear" stays at the full rate and falls in a line at the end (Zhai et al.
            2022; Hägele et al. 2024).
        warmup_steps: Steps until the full rate is reached; 0 starts with it.
        total_steps: Length of the training; infinite if only a budget ends it.
        cooldown: Share of the training at its end in which "linear" falls; 1 falls from the start.
        final_share: Factor at the end of "cosine" and "linear".
        used: Share of a budget that is used; the progress is this or the steps', whichever is further.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    progress = min(1.0, max(used, (step - warmup_steps) / max(1, total_steps - warmup_steps)))
    left = (1 + math.cos(math.pi * progress)) / 2 if schedule == "cosine" else min(1.0, (1 - progress) / cooldown)
    return final_share + (1 - final_share) * left


def scheduler(
    optimizer: Optimizer,
    schedule: Schedule,
    warmup_steps: int,
    total_steps: float,
    cooldown: float = 1.0,
    final_share: float = 0.0,
    budget: Budget | None = None,
) -> LambdaLR:
    """:func:`learning_rate_factor` as a torch scheduler, to be stepped once an optimiser step."""
    if schedule != "constant" and budget is None and not math.isfinite(total_steps):
        raise UserError(
            f"schedule: {schedule} needs an end to go to: give trainer.max_epochs, trainer.max_steps or TimeBudget"
        )

    def factor(step: int) -> float:
        used = budget.progress if budget else 0.0
        return learning_rate_factor(step, schedule, warmup_steps, total_steps, cooldown, final_share, used)

    return LambdaLR(optimizer, factor)
