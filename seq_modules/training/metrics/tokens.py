"""Metrics of predicted tokens, beside a loss that may be another than their likelihood."""

import torch
from torch import Tensor
from torchmetrics import Metric

from seq_modules.training.metrics.loss import MeanLoss


class TokenPerplexity(MeanLoss):
    """exp of the mean negative log-likelihood (nats), which the loss is not where labels are smoothed."""

    def update(self, nll_sum: Tensor, num_targets: Tensor) -> None:
        """Takes a batch's sum of negative log-likelihoods and its number of targets, both scalars."""
        super().update(nll_sum, num_targets)

    def compute(self) -> Tensor:
        """Perplexity a token, at least 1."""
        return super().compute().exp()


class TokenAccuracy(Metric):
    """Fraction of the targets that are the likeliest token, given the true ones before it."""

    higher_is_better = True
    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, num_right: Tensor, num_targets: Tensor) -> None:
        """Takes how many of a batch's targets are right, and how many there are, both scalars."""
        self.right += num_right
        self.total += num_targets

    def compute(self) -> Tensor:
        """Accuracy between 0 and 1; NaN without targets."""
        return self.right / self.total
