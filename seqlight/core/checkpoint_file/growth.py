"""A model cannot become much larger than the checkpoint that describes it; one that finds no memory is one line."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from seqlight.core.errors import UserError

TIMES = 4  # so much larger than the weights in a checkpoint a model may be, and what a small one has besides:
ELEMENTS, TENSORS, MODULES = 2**24, 10_000, 10_000


@contextlib.contextmanager
def bounded_by(weights: Mapping[str, Any], path: str | Path) -> Iterator[None]:
    """Refuses a model as soon as it registers more weights or modules than could be in the checkpoint.

    Args:
        weights: The checkpoint's state dict.
        path: The checkpoint, for the message.

    Raises:
        UserError: The model is larger.
    """
    held = sum(value.numel() for value in weights.values())
    refusal = (
        f"{path}: the model would be far larger than the checkpoint, which has {held:,} weights; leave out --model "
        "options that change its shape, or use another checkpoint"
    )
    tensors, modules = (TIMES * len(weights) + least for least in (TENSORS, MODULES))
    with bounded(TIMES * held + ELEMENTS, tensors, modules, refusal):
        yield


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Says in one line that a model could not be allocated.

    Raises:
        UserError: It could not.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OverflowError, ValueError) as error:  # jsonargparse makes ValueErrors of some
        if isinstance(error, MemoryError) or "allocate memory" in str(error) or "overflow" in str(error):
            size = psutil.virtual_memory().total
            raise UserError(
                f"the model needs more memory than this machine has ({size / 2**30:.0f} GiB); give smaller --model.net "
                "sizes"
            ) from error
        raise


@contextlib.contextmanager
def bounded(weights: int, tensors: int, modules: int, refusal: str) -> Iterator[None]:
    """Refuses a model with more weights, tensors or modules than these, in the words of ``refusal``.

    torch allocates without touching, and a tensor is registered before it is filled: a layer of a terabyte costs
    nothing, and the first of a billion layers too many ends it.
    """
    from torch.nn.modules import module

    left = {"weights": weights, "tensors": tensors, "modules": modules}

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
        with within_memory():
            yield
    finally:
        for hook in hooks:
            hook.remove()
