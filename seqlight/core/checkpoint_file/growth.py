"""A model that is built from a checkpoint's hyperparameters cannot become much larger than the checkpoint."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqlight.core.errors import UserError

TIMES = 4  # so much larger than the weights in the file a model may be, and what a small one has besides:
ELEMENTS, TENSORS, MODULES = 2**24, 10_000, 10_000


@contextlib.contextmanager
def bounded_by(weights: Mapping[str, Any], path: str | Path) -> Iterator[None]:
    """Refuses a model as soon as it registers more weights or modules than could be in the checkpoint.

    torch allocates without touching, and a tensor is registered before it is filled: a layer of a terabyte costs
    nothing, and the first of a billion layers too many ends it.

    Args:
        weights: The checkpoint's state dict.
        path: The checkpoint, for the message.

    Raises:
        UserError: The model is larger.
    """
    from torch.nn.modules import module

    held = sum(value.numel() for value in weights.values())
    left = {
        "weights": TIMES * held + ELEMENTS,
        "tensors": TIMES * len(weights) + TENSORS,
        "modules": TIMES * len(weights) + MODULES,
    }
    refusal = (
        f"{path}: the model would be far larger than the checkpoint, which has {held:,} weights; leave out --model "
        "options that change its shape, or use another checkpoint"
    )

    def take(what: str, count: int) -> None:
        left[what] -= count
        if left[what] < 0:
            raise UserError(refusal)

    def count_tensor(owner: Any, name: str, value: Any) -> None:
        if value is not None:
            take("tensors", 1)
            take("weights", value.numel())

    def count_module(owner: Any, name: str, value: Any) -> None:
        take("modules", 1)

    hooks = (
        module.register_module_parameter_registration_hook(count_tensor),
        module.register_module_buffer_registration_hook(count_tensor),
        module.register_module_module_registration_hook(count_module),
    )
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError) as error:
        if isinstance(error, MemoryError) or "memory" in str(error) or "overflow" in str(error):
            raise UserError(refusal) from error
        raise
    finally:
        for hook in hooks:
            hook.remove()
