"""Metrics that torchmetrics does not have."""

import math
from typing import Literal

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


class NatsPerNote(MeanLoss):
    """Loss over all notes, of however many tokens each is made: comparable between ways to spell them."""

    def update(self, loss_sum: Tensor, notes: Tensor) -> None:
        """Takes a batch's sum of losses in nats and the number of notes it is about, both scalars."""
        super().update(loss_sum, notes)


class BitAccuracy(Metric):
    """Share of steps at which the logit has the sign of the label.

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


class Perplexity(MeanLoss):
    """exp of the mean cross-entropy (nats)."""

    def compute(self) -> Tensor:
        """Perplexity a token, at least 1."""
        return super().compute().exp()


class BitsPerCharacter(Metric):
    """Loss in bits for each character of text: comparable between tokenizers, as the loss a token is not."""

    higher_is_better = False
    full_state_update = False
    loss_sum: Tensor
    characters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("characters", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss_sum: Tensor, characters: Tensor) -> None:
        """Takes a batch's sum of losses in nats and the number of characters it is about, both scalars."""
        self.loss_sum += loss_sum
        self.characters += characters

    def compute(self) -> Tensor:
        """Bits per character."""
        return self.loss_sum / self.characters / math.log(2)


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
        confidence, chosen = preds[counted].float().softmax(-1).max(-1)
        place = (confidence * self.bins).long().clamp(max=self.bins - 1)
        self.confidence.index_add_(0, place, confidence)
        self.correct.index_add_(0, place, (chosen == target[counted]).to(confidence.dtype))
        self.count.index_add_(0, place, torch.ones_like(confidence))

    def compute(self) -> Tensor:
        """Error between 0 and 1."""
        return (self.correct - self.confidence).abs().sum() / self.count.sum()


class FieldAccuracy(Metric):
    """Share of the labels of one field of events at which the likeliest id is the label.

    Args:
        field: Which field.
    """

    higher_is_better = True
    full_state_update = False
    hits: Tensor
    num_targets: Tensor

    def __init__(self, field: int) -> None:
        super().__init__()
        self.field = field
        self.add_state("hits", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("num_targets", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, field_hits: Tensor, field_targets: Tensor) -> None:
        """Takes the right answers and the labels of each field in a batch, both (F,)."""
        self.hits += field_hits[self.field]
        self.num_targets += field_targets[self.field]

    def compute(self) -> Tensor:
        """Accuracy between 0 and 1."""
        return self.hits / self.num_targets


class FieldLoss(MeanLoss):
    """One field's part of the mean loss an event; the fields' parts sum to it.

    Args:
        field: Which field.
    """

    def __init__(self, field: int) -> None:
        super().__init__()
        self.field = field

    def update(self, field_losses: Tensor, num_targets: Tensor) -> None:
        """Takes each field's sum of losses in a batch, (F,), and the number of events."""
        super().update(field_losses[self.field], num_targets)
