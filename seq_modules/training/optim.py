"""The group of optimiser settings that every system takes, and the optimisers built from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from seq_modules.training.optimizers.muon import MuonAdamW, hidden_matrices
from seq_modules.training.progress import budget_of
from seq_modules.training.schedule import ENDLESS, Schedule, scheduler
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range


@dataclass(frozen=True)
class OptimConfig:
    """Optimiser and learning-rate schedule.

    Attributes:
        learning_rate: Peak learning rate of AdamW or SGD, above 0.
        weight_decay: Weight decay of matrices, 0 or more.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the mean squared gradient.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards: "constant", "cosine", "wsd" (stable, then a line down), or
            "inverse_sqrt" (it falls as one over the root of the steps, Vaswani et al. 2017).
        decay_fraction: Fraction of the training, at its end, in which "wsd" decays, above 0 and at most 1.
        min_lr_ratio: What "cosine" and "wsd" leave of the learning rate, from 0 to 1.
        optimizer: AdamW for all, Muon for the matrices in ``net.blocks`` (which alone decay then) and AdamW for the
            rest, or stochastic gradient descent for all.
        momentum: Fraction of the velocity that SGD keeps in a step, at least 0 and below 1.
        muon_learning_rate: Peak learning rate of Muon, above 0.
        muon_iterations: Newton-Schulz iterations of Muon, at least 1.
        fused: One kernel for all of AdamW's weights: quicker the larger the net, equal up to rounding.

    Raises:
        UserError: A value is out of its range.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    warmup_steps: int = 0
    schedule: Schedule = "constant"
    decay_fraction: float = 1.0
    min_lr_ratio: float = 0.0
    optimizer: Literal["adamw", "muon", "sgd"] = "adamw"
    momentum: float = 0.0
    muon_learning_rate: float = 0.02
    muon_iterations: int = 5
    fused: bool = False

    def __post_init__(self) -> None:
        check_range("optim.learning_rate", self.learning_rate, above=0)
        check_range("optim.weight_decay", self.weight_decay, least=0)
        check_range("optim.beta1", self.beta1, least=0, below=1)
        check_range("optim.beta2", self.beta2, least=0, below=1)
        check_range("optim.warmup_steps", self.warmup_steps, least=0)
        check_choice("optim.schedule", self.schedule, Schedule)
        check_range("optim.decay_fraction", self.decay_fraction, above=0, most=1)
        check_range("optim.min_lr_ratio", self.min_lr_ratio, least=0, most=1)
        check_choice("optim.optimizer", self.optimizer, ("adamw", "muon", "sgd"))
        check_range("optim.momentum", self.momentum, least=0, below=1)
        check_range("optim.muon_learning_rate", self.muon_learning_rate, above=0)
        check_range("optim.muon_iterations", self.muon_iterations, least=1)


def build_optimizer(module: nn.Module, config: OptimConfig) -> Optimizer:
    """The optimiser of a system; Muon takes the matrices of ``module.net.blocks``."""
    betas = (config.beta1, config.beta2)
    if config.optimizer == "adamw":
        return adamw(module.parameters(), config.learning_rate, config.weight_decay, betas, config.fused)
    if config.optimizer == "sgd":
        groups = decay_groups(module.parameters(), config.weight_decay)
        return torch.optim.SGD(groups, config.learning_rate, config.momentum)
    net: Any = getattr(module, "net", module)
    rates = (config.learning_rate, config.muon_learning_rate)
    return muon(module, net, *rates, config.weight_decay, betas, config.muon_iterations)


def with_schedule(optimizer: Optimizer, config: OptimConfig, module: LightningModule) -> OptimizerLRScheduler:
    """The optimiser for Lightning, with a schedule that is stepped once an optimiser step, if the rate changes."""
    if config.schedule == "constant" and not config.warmup_steps:
        return optimizer
    # Asking for the number of steps builds the training loader, so only a schedule that needs it asks.
    total = float("inf") if config.schedule in ENDLESS else module.trainer.estimated_stepping_batches
    shape = (config.schedule, config.warmup_steps, total, config.decay_fraction, config.min_lr_ratio)
    schedule = scheduler(optimizer, *shape, budget=budget_of(module.trainer))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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
    groups = decay_groups(parameters, weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=fused)
    # Otherwise Lightning refuses to clip gradients under mixed precision, bf16 too, where nothing is scaled.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def decay_groups(parameters: Iterable[Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups of the weights that are trained: matrices, which decay, and vectors, which do not."""
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def refuse_muon(config: OptimConfig) -> None:
    """Refuses Muon for a net without Transformer blocks, whose matrices it would update.

    Raises:
        UserError: The optimiser is Muon.
    """
    if config.optimizer == "muon":
        raise UserError("optim.optimizer muon needs the blocks of a Transformer, which this net has not; use adamw")


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
