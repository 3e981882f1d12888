"""Accuracy of bits, and the last step of each row."""

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric


class BitAccuracy(Metric):
    """Fraction of steps at which the logit has the sign of the label.

    Args:
        steps: "all" counts every step with a label of 0 or 1, "last" the last such step of each row.
    """

    higher_is_better = True
    full_state_update = False
    correct: Tensor
    total: Tensor

    def __init__(self, steps: Literal["all", "last"]) -> None:
        super().__init__()
        self.steps = steps
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Takes logits and labels, both (B, T); a label below 0 does not count."""
        right = (logits > 0) == (labels > 0)
        counted = labels >= 0
        if self.steps == "last":
            right = right.gather(1, last_step(counted))
            counted = counted.any(1, keepdim=True)
        self.correct += (right & counted).sum()
        self.total += counted.sum()

    def compute(self) -> Tensor:
        """Accuracy between 0 and 1."""
        return self.correct / self.total


def last_step(mask: Tensor) -> Tensor:
    """Position of each row's last true step: (B, T) boolean -> (B, 1)."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return (positions * mask).amax(1, keepdim=True)
