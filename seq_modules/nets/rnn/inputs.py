"""Checks of what a recurrent net is called with."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq_modules.nets.rnn.cells import State, States
from seqlight.core.errors import UserError


def check_inputs(x: Tensor, input_size: int) -> None:
    """Raises a ValueError unless x is (B, T, input_size) with T at least 1."""
    if x.dim() != 3 or x.shape[1] == 0 or x.shape[2] != input_size:
        raise UserError(f"x must be (B, T, {input_size}) with T at least 1, not {tuple(x.shape)}")


def check_lengths(lengths: Tensor, batch: int, steps: int) -> Tensor:
    """The lengths as int64 on the CPU.

    Raises:
        ValueError: If the lengths are not integers from 1 to T = ``steps``, one for each row.
    """
    if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise UserError(f"lengths must be ({batch},) integers, not {tuple(lengths.shape)} {lengths.dtype}")
    lengths = lengths.to("cpu", torch.int64)
    if batch > 0 and not 1 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise UserError(f"lengths must be from 1 to T = {steps}, not {lengths.tolist()}")
    return lengths


def state_parts(state: State, cell: str, shape: Sequence[int]) -> States:
    """The tensors of a state: h, and for the LSTM c.

    Raises:
        ValueError: Unless the state is of the cell's kind, and each part of this shape.
    """
    if isinstance(state, tuple) != (cell == "lstm"):
        kind = "a pair (h, c)" if cell == "lstm" else "one tensor"
        raise UserError(f"state of cell {cell!r} must be {kind}, not a {type(state).__name__}")
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        if tuple(part.shape) != tuple(shape):
            raise UserError(f"state must be {tuple(shape)}, not {tuple(part.shape)}")
    return parts
