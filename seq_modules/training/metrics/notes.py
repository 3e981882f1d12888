"""Losses and accuracies of notes and of their fields."""

from torch import Tensor

from seq_modules.training.metrics.means import Fraction, MeanLoss


class NatsPerNote(MeanLoss):
    """Loss over all notes, of however many tokens each is made: comparable between ways to spell them."""

    def update(self, loss_sum: Tensor, notes: Tensor) -> None:
        """Takes a batch's sum of losses in nats and the number of notes it is about, both scalars."""
        super().update(loss_sum, notes)


class FieldAccuracy(Fraction):
    """Fraction of the labels of one field of events at which the likeliest id is the label.

    Args:
        field: Which field.
    """

    def __init__(self, field: int) -> None:
        super().__init__()
        self.field = field

    def update(self, field_hits: Tensor, field_targets: Tensor) -> None:
        """Takes the right answers and the labels of each field in a batch, both (F,)."""
        self.right += field_hits[self.field]
        self.total += field_targets[self.field]


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
