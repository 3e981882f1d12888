"""The closure of an optimiser's step."""

from collections.abc import Callable
from typing import Any

import torch


def closure_loss(closure: Callable[[], Any] | None) -> Any:
    """What the closure of a step gives, called with gradients on; None without one. Lightning always passes one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()
