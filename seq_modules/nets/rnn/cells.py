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
State = Tensor | tuple[Tensor, Tensor]  # h, or for the LSTM (h, c), each (L·S, B, H)
States = tuple[Tensor, ...]  # (h,) or, for the LSTM, (h, c)

BLOCKS: dict[str, int] = {"rnn": 1, "lstm": 4, "gru": 3}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


class Weights(NamedTuple):
    """Parameters of one layer in one direction: (G·H, D), (G·H, H), (G·H,), (G·H,)."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor


def rnn_step(a: Tensor, nonlinearity: Nonlinearity) -> States:
    """Elman (1990), from the sum a = x + u: h_t = f(a)."""
    return (ACTIVATIONS[nonlinearity](a),)


def lstm_step(a: Tensor, c: Tensor, norm: nn.Module | None = None) -> States:
    """Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000), from the sum a = x + u.

    i, f, o = σ(a), g = tanh(a);  c_t = f ⊙ c_{t-1} + i ⊙ g;  h_t = o ⊙ tanh(c_t), there with c_t normalised by ``norm``
    """
    i, f, g, o = a.chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * (c if norm is None else norm(c)).tanh(), c


def gru_step(x: Tensor, u: Tensor, h: Tensor) -> States:
    """Cho et al. (2014), with the reset gate after the product, as in torch.nn and cuDNN.

    r, z = σ(x + u);  n = tanh(x_n + r ⊙ u_n);  h_t = (1 - z) ⊙ n + z ⊙ h_{t-1}
    """
    (x_r, x_z, x_n), (u_r, u_z, u_n) = x.chunk(3, dim=1), u.chunk(3, dim=1)
    r, z = (x_r + u_r).sigmoid(), (x_z + u_z).sigmoid()
    n = (x_n + r * u_n).tanh()
    return ((1 - z) * n + z * h,)


class LayerNorms(nn.Module):
    """Normalisations of one layer in one direction (Ba, Kiros & Hinton 2016, equation 4 and supplement).

    The RNN normalises its sum. The gated cells normalise the products with the input and with the state apart, the GRU
    also its gates apart from its candidate, and the LSTM its cell besides. The paper's shifts of the products are the
    cell's own biases, which therefore come after the norm.

    Args:
        cell: Which of the cells.
        hidden_size: H.
    """

    def __init__(self, cell: Cell, hidden_size: int) -> None:
        super().__init__()
        self.widths = [blocks * hidden_size for blocks in {"rnn": [1], "lstm": [4], "gru": [2, 1]}[cell]]
        self.state = nn.ModuleList(nn.LayerNorm(width, bias=False) for width in self.widths)
        self.input = nn.ModuleList(nn.LayerNorm(width, bias=False) for width in self.widths if cell != "rnn")
        self.cell = nn.LayerNorm(hidden_size) if cell == "lstm" else None

    def of_input(self, products: Tensor) -> Tensor:
        """W_ih x_t normalised, (·, G·H); the RNN's as it is."""
        return self._apart(self.input, products) if len(self.input) else products

    def of_state(self, products: Tensor) -> Tensor:
        """W_hh h_{t-1} normalised, (·, G·H); for the RNN this takes W_ih x_t + W_hh h_{t-1}."""
        return self._apart(self.state, products)

    def _apart(self, norms: nn.ModuleList, products: Tensor) -> Tensor:
        parts = products.split(self.widths, dim=1)
        return torch.cat([norm(part) for norm, part in zip(norms, parts, strict=True)], dim=1)


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
    """One layer in one direction, step by step. Under autocast only the input's products are in low precision.

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
    x = F.linear(rows, w_ih).to(w_hh.dtype)
    of_input, of_state = (norms.of_input, norms.of_state) if norms is not None else (nn.Identity(), nn.Identity())

    def step(x: Tensor, h: Tensor, c: Tensor | None = None) -> States:
        u = F.linear(h, w_hh)
        if cell == "rnn":
            return rnn_step(of_state(x + u) + b_ih + b_hh, nonlinearity)
        x, u = x + b_ih, of_state(u) + b_hh
        if c is None:
            return gru_step(x, u, h)
        return lstm_step(x + u, c, norms.cell if norms is not None else None)

    outputs = []
    with torch.autocast(rows.device.type, enabled=False):
        for x_t in in_order(of_input(x), sizes, reverse):
            new = step(x_t, *(first(state, len(x_t)) for state in states))
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
    return new if len(new) == len(old) else torch.cat([new, old[len(new) :]])
