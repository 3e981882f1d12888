"""Accuracy of answers step by step, and which steps are judged.

B batch, T time, C classes. Logits are (B, T) for a yes or no, (B, T, C) for classes. A label below 0 does not count.
"""

from typing import Literal

from torch import Tensor

from seq_modules.training.metrics.means import Fraction

Steps = Literal["all", "last"]


class StepAccuracy(Fraction):
    """Fraction of the judged steps with the right answer.

    Args:
        steps: "all" judges every step with a label, "last" the last such step of each row.
    """

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Takes logits, (B, T) or (B, T, C), and labels (B, T)."""
        counted = judged(labels, self.steps)
        self.right += (is_right(logits, labels) & counted).sum()
        self.total += counted.sum()


def is_right(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the answer is the label, (B, T): the sign of a logit, or the likeliest class."""
    if logits.dim() == 2:
        return (logits > 0) == (labels > 0)
    return logits.argmax(-1) == labels


def judged(labels: Tensor, steps: Steps) -> Tensor:
    """True at every step with a label, or at the last such step of each row, (B, T)."""
    counted = labels >= 0
    if steps == "all":
        return counted
    later = counted.flip(1).cumsum(1).flip(1)  # steps with a label from here on
    return counted & (later == 1)
