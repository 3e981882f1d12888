"""A metric that a callback waits for."""

from lightning.pytorch import Trainer
from torch import Tensor

from seqlight.core.errors import UserError


def check_mode(mode: str) -> None:
    """Refuses a mode that is neither "max" nor "min"."""
    if mode not in ("max", "min"):
        raise UserError(f"mode must be max or min, not {mode}")


def is_reached(value: Tensor, threshold: float, mode: str) -> bool:
    """Whether the value is at least ("max") or at most ("min") the threshold."""
    return bool(value >= threshold if mode == "max" else value <= threshold)


def not_logged(trainer: Trainer, owner: object, monitor: str) -> str:
    """What to say of a metric that is not there."""
    known = ", ".join(sorted(trainer.callback_metrics)) or "none"
    return f"{type(owner).__name__}: monitor {monitor} is not logged; there are {known}"
