"""How far confidence is from accuracy."""

import torch
from torch import Tensor
from torchmetrics import Metric


class CalibrationError(Metric):
    """Expected calibration error: how far confidence is from accuracy (Naeini et al. 2015; Guo et al. 2017).

    Predictions are put into bins of equal width by the probability of the chosen class; the error is the mean over
    predictions of their bin's |accuracy - mean confidence|. Kept as sums, so that it is exact over batches and ranks.

    Args:
        bins: Number of bins.
        ignore_index: A target that does not count.
    """

    higher_is_better = False
    full_state_update = False
    confidence: Tensor
    correct: Tensor
    count: Tensor

    def __init__(self, bins: int = 15, ignore_index: int = -100) -> None:
        super().__init__()
        self.bins, self.ignore_index = bins, ignore_index
        for name in ("confidence", "correct", "count"):
            self.add_state(name, torch.zeros(bins), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Takes logits (B, C) and classes (B,)."""
        counted = target != self.ignore_index
        confidence, chosen = preds[counted].float().softmax(-1).nan_to_num(0.0).max(-1)  # NaN: trust in nothing
        place = (confidence * self.bins).long().clamp(max=self.bins - 1)
        self.confidence.index_add_(0, place, confidence)
        self.correct.index_add_(0, place, (chosen == target[counted]).to(confidence.dtype))
        self.count.index_add_(0, place, torch.ones_like(confidence))

    def compute(self) -> Tensor:
        """Error between 0 and 1."""
        return (self.correct - self.confidence).abs().sum() / self.count.sum()
