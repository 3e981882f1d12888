"""The NumPy cells of `reference/numpy_rnn.py` as a function that torch can differentiate through."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable

from seq_modules.nets.rnn.cells import Cell, Nonlinearity, States, Weights
from seq_modules.reference import numpy_rnn


class NumpyScan(Function):
    """One layer in one direction; forward and backward both run in NumPy, on the CPU."""

    @staticmethod
    def forward(
        ctx: Any, cell: str, sizes: list[int], reverse: bool, rows: Tensor, *weights_and_states: Tensor
    ) -> tuple[Tensor, ...]:
        dtype = rows.dtype
        for tensor in weights_and_states:
            dtype = torch.promote_types(dtype, tensor.dtype)
        inputs = (rows, *weights_and_states)
        rows_, w_ih, w_hh, b_ih, b_hh, *states = (to_numpy(tensor, dtype) for tensor in inputs)
        outputs, after, ctx.tape = numpy_rnn.forward(
            cell, rows_, sizes, (w_ih, w_hh, b_ih, b_hh), tuple(states), reverse
        )
        ctx.like = [(tensor.device, tensor.dtype) for tensor in inputs]
        ctx.dtype = dtype
        return tuple(to_torch(array, rows.device, dtype) for array in (outputs, *after))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_outputs, *d_states = (to_numpy(grad, ctx.dtype) for grad in grads)
        d_rows, d_weights, d_before = numpy_rnn.backward(ctx.tape, d_outputs, tuple(d_states))
        arrays = (d_rows, *d_weights, *d_before)
        return None, None, None, *(to_torch(array, *like) for array, like in zip(arrays, ctx.like, strict=True))


def scan(
    cell: Cell,
    rows: Tensor,
    sizes: list[int],
    weights: Weights,
    states: States,
    reverse: bool = False,
    nonlinearity: Nonlinearity = "tanh",
) -> tuple[Tensor, States]:
    """As `cells.scan`, without layer normalisation; in float32 or float64, differentiable once."""
    name = f"rnn_{nonlinearity}" if cell == "rnn" else cell
    outputs, *after = NumpyScan.apply(name, sizes, reverse, rows, *weights, *states)
    return outputs, tuple(after)


def to_numpy(tensor: Tensor, dtype: torch.dtype) -> np.ndarray[Any, np.dtype[Any]]:
    """On the CPU, in a dtype that NumPy has: float64 stays, all else becomes float32."""
    return tensor.detach().to("cpu", torch.float64 if dtype == torch.float64 else torch.float32).numpy()


def to_torch(array: np.ndarray[Any, np.dtype[Any]], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Back to the device and dtype it came from."""
    return torch.from_numpy(array).to(device, dtype)
