"""Recurrent layers one by one, by the engines that know one layer in one direction: loop, bptt and numpy.

N rows of all steps without padding, B rows of the batch, D inputs, H hidden width, L layers, S directions.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.rnn import bptt, cells, numpy_bridge
from seq_modules.nets.rnn.cells import LayerNorms, States

if TYPE_CHECKING:
    from seq_modules.nets.rnn.recurrent import Recurrent


def run_layers(net: "Recurrent", rows: Tensor, sizes: list[int], states: States) -> tuple[Tensor, States]:
    """All layers and directions: rows (N, D) and states (L·S, B, H) to rows (N, S·H) and states.

    Args:
        net: The net.
        rows: Inputs of all steps.
        sizes: Rows of each step, never growing, summing to N.
        states: (h,) or (h, c) before the first step.
    """
    states = tuple(part.to(net.weights(0).w_hh.dtype) for part in states)
    after: list[States] = []
    for layer in range(net.num_layers):
        if layer > 0:
            rows = F.dropout(rows, net.dropout, net.training)
        outputs = []
        for direction in range(net.num_directions):
            index = layer * net.num_directions + direction
            output, new = run_one(net, index, rows, sizes, tuple(part[index] for part in states), direction == 1)
            outputs.append(output)
            after.append(new)
        rows = torch.cat(outputs, dim=1) if net.bidirectional else outputs[0]  # S × (N, H) -> (N, S·H)
    return rows, tuple(torch.stack(parts) for parts in zip(*after, strict=True))


def run_one(
    net: "Recurrent", index: int, rows: Tensor, sizes: list[int], states: States, reverse: bool
) -> tuple[Tensor, States]:
    """One layer in one direction, by the backend's engine: rows (N, ·) and states (B, H) to rows (N, H), states."""
    weights = net.weights(index)
    if net.backend == "numpy":
        return numpy_bridge.scan(net.cell, rows, sizes, weights, states, reverse, net.nonlinearity)
    if net.backend == "loop":
        norms = None if net.norms is None else net.norms[index]
        assert norms is None or isinstance(norms, LayerNorms)
        return cells.scan(net.cell, rows, sizes, weights, states, reverse, net.nonlinearity, norms)
    return bptt.scan(net.cell, rows, sizes, weights, states, reverse, net.nonlinearity)
