"""A metric that a callback waits for."""

from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor


def is_reached(value: Tensor, threshold: float, mode: str) -> bool:
    """Whether the value is at least ("max") or at most ("min") the threshold."""
    return bool(value >= threshold if mode == "max" else value <= threshold)


def not_logged(trainer: Trainer, owner: object, monitor: str) -> str:
    """The message about a metric that is not logged."""
    known = ", ".join(sorted(trainer.callback_metrics)) or "none"
    return f"{type(owner).__name__}: monitor {monitor} is not logged; there are {known}"


def has_finite_loss(outputs: Any) -> bool:
    """Whether the loss that a training step gave is a number; True where it gave none."""
    loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
    return not isinstance(loss, Tensor) or bool(loss.isfinite().all())
