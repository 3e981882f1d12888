"""Means over all batches and ranks: the loss, its exponential, the loss per character, and fractions."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """Loss over all targets of all batches and ranks, each target with the same weight."""

    higher_is_better = False
    full_state_update = False
    loss_sum: Tensor
    num_targets: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("num_targets", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss_sum: Tensor, num_targets: Tensor) -> None:
        """Takes a batch's sum of losses and its number of targets, both scalars."""
        self.loss_sum += loss_sum
        self.num_targets += num_targets

    def compute(self) -> Tensor:
        """Mean loss, in the unit of the loss."""
        return self.loss_sum / self.num_targets


class Perplexity(MeanLoss):
    """exp of the mean cross-entropy (nats)."""

    def compute(self) -> Tensor:
        """Perplexity per token, at least 1."""
        return super().compute().exp()


class BitsPerCharacter(MeanLoss):
    """Mean loss per character of text, in bits. Unlike the loss per token, it is comparable between tokenizers."""

    def update(self, loss_sum: Tensor, characters: Tensor) -> None:
        """Takes a batch's sum of losses in nats, and the number of characters of its targets, both scalars."""
        super().update(loss_sum, characters)

    def compute(self) -> Tensor:
        """Bits per character."""
        return super().compute() / math.log(2)


class Fraction(Metric):
    """Right ones among all, over all batches and ranks; a subclass's ``update`` adds to ``right`` and ``total``."""

    higher_is_better = True
    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def compute(self) -> Tensor:
        """Fraction between 0 and 1; NaN where nothing was counted."""
        return self.right / self.total
