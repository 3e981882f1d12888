"""The base of metrics that count how many of all are right."""

import torch
from torch import Tensor
from torchmetrics import Metric


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
