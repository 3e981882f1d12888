"""The recurrent cells as their papers write them, and the plain loop over the steps.

Letters
    B, T    rows of the batch, time steps
    D, H    width of the input, width of the hidden state
    N       rows of all steps together: T·B, fewer when some sequences are shorter
    G       blocks of H in a cell's weights: rnn 1, lstm 4 (order i, f, g, o), gru 3 (order r, z, n), as in torch.nn
    x       what a step's input contributes to every block, W_ih x_t + b_ih, (B, G·H); made for all steps at once
    u       what the state before contributes, W_hh h_{t-1} + b_hh, (B, G·H)
    h, c    hidden state and LSTM cell, (B, H)

Rows lie time-major and without padding: ``sizes[t]`` rows for step t, the longest sequence first, so that those still
running at step t are always the first ``sizes[t]``. A sequence that has ended, or (read backwards) has not begun, keeps
its state. `nets/bptt.py` computes the same faster; this loop is what it is compared with.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Cell = Literal["rnn", "lstm", "gru"]
Nonlinearity = Literal["tanh", "sigmoid", "relu"]
States = tuple[Tensor, ...]  # (h,) or, for the LSTM, (h, c)

BLOCKS: dict[str, int] = {"rnn": 1, "lstm": 4, "gru": 3}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


class Weights(NamedTuple):
    """Parameters of one layer in one direction: (G·H, D), (G·H, H), (G·H,), (G·H,)."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor


def rnn_step(x: Tensor, u: Tensor, nonlinearity: Nonlinearity) -> States:
    """Elman (1990): h_t = f(x + u)."""
    return (ACTIVATIONS[nonlinearity](x + u),)


def lstm_step(x: Tensor, u: Tensor, c: Tensor, norm: nn.Module | None = None) -> States:
    """Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000); ``norm`` is applied to the new cell.

    i, f, o = σ(...), g = tanh(...);  c_t = f ⊙ c_{t-1} + i ⊙ g;  h_t = o ⊙ tanh(c_t)
    """
    i, f, g, o = (x + u).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * (c if norm is None else norm(c)).tanh(), c


def gru_step(x: Tensor, u: Tensor, h: Tensor) -> States:
    """Cho et al. (2014), with the reset gate after the product as in torch.nn and cuDNN.

    r, z = σ(x + u);  n = tanh(x_n + r ⊙ u_n);  h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
    """
    (x_r, x_z, x_n), (u_r, u_z, u_n) = x.chunk(3, dim=1), u.chunk(3, dim=1)
    r, z = (x_r + u_r).sigmoid(), (x_z + u_z).sigmoid()
    n = (x_n + r * u_n).tanh()
    return ((1 - z) * n + z * h,)


class LayerNorms(nn.Module):
    """Normalisations of one layer in one direction (Ba, Kiros & Hinton 2016, equation 4 and supplement 20 to 24).

    The RNN normalises its sum; the gated cells normalise input and state products apart, the GRU its gates apart from
    its candidate, and the LSTM also its cell. The paper's shifts of the products are the cell's b_ih and b_hh.

    Args:
        cell: Which of the cells.
        hidden_size: H.
    """

    def __init__(self, cell: Cell, hidden_size: int) -> None:
        super().__init__()
        self.parts = {"rnn": [1], "lstm": [4], "gru": [2, 1]}[cell]
        self.parts = [part * hidden_size for part in self.parts]

        def norms() -> nn.ModuleList:
            return nn.ModuleList(nn.LayerNorm(part, bias=False) for part in self.parts)

        self.hidden = norms()
        if cell != "rnn":
            self.input = norms()
        self.cell = nn.LayerNorm(hidden_size) if cell == "lstm" else None

    def apart(self, norms: Sequence[nn.Module] | nn.ModuleList, products: Tensor) -> Tensor:
        """Each part of (·, G·H) products under its own norm."""
        return torch.cat(
            [norm(part) for norm, part in zip(norms, products.split(self.parts, dim=1), strict=True)], dim=1
        )


def scan(
    cell: Cell,
    rows: Tensor,
    sizes: list[int],
    weights: Weights,
    states: States,
    reverse: bool = False,
    nonlinearity: Nonlinearity = "tanh",
    norms: LayerNorms | None = None,
) -> tuple[Tensor, States]:
    """One layer in one direction, step by step.

    Args:
        cell: Which of the cells.
        rows: Inputs of all steps, (N, D).
        sizes: Rows of each step, never growing, summing to N.
        weights: Of this layer and direction.
        states: (h,) or (h, c) before the first step taken, each (B, H).
        reverse: Go from the last step to the first.
        nonlinearity: Of the rnn.
        norms: Layer normalisation, by default none.

    Returns:
        Hidden states of all steps, (N, H), and the states after each sequence's last step taken.
    """
    w_ih, w_hh, b_ih, b_hh = weights
    x = F.linear(rows, w_ih)
    if norms is not None and cell != "rnn":
        x = norms.apart(norms.input, x)
    if norms is None or cell != "rnn":
        x = x + b_ih

    def step(x: Tensor, states: States) -> States:
        u = F.linear(states[0], w_hh)
        if norms is not None and cell == "rnn":
            return rnn_step(norms.apart(norms.hidden, x + u), b_ih + b_hh, nonlinearity)
        u = (u if norms is None else norms.apart(norms.hidden, u)) + b_hh
        if cell == "rnn":
            return rnn_step(x, u, nonlinearity)
        if cell == "lstm":
            return lstm_step(x, u, states[1], norms.cell if norms is not None else None)
        return gru_step(x, u, states[0])

    outputs = []
    for x_t in in_order(x, sizes, reverse):
        new = step(x_t, tuple(first(state, len(x_t)) for state in states))
        states = tuple(carry(after, before) for after, before in zip(new, states, strict=True))
        outputs.append(new[0])
    return torch.cat(outputs[::-1] if reverse else outputs), states


def in_order(rows: Tensor, sizes: list[int], reverse: bool) -> Sequence[Tensor]:
    """Views of the rows of each step, in the order in which the steps are taken."""
    steps = rows.split(sizes)
    return steps[::-1] if reverse else steps


def first(state: Tensor, size: int) -> Tensor:
    """The first rows of a state: those of the sequences that take the step."""
    return state if size == len(state) else state[:size]


def carry(new: Tensor, old: Tensor) -> Tensor:
    """New states where a step was taken, old ones in the rows below."""
    return new if len(new) == len(old) else torch.cat([new, old[len(new) :].to(new.dtype)])
