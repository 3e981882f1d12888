"""Recurrent cells in NumPy, with back-propagation through time written by hand (Rumelhart et al. 1986; Werbos 1990).

Letters
    T, B       time steps, sequences
    D, H       width of the input, width of the hidden state
    G          blocks of H in a cell's weights: rnn 1, lstm 4 (order i, f, g, o), gru 3 (order r, z, n)
    N          rows of all steps together: T·B, fewer when some sequences are shorter
    x, u       what the blocks get from a step's input, W_ih x_t + b_ih, and from the state before, W_hh h_{t-1} + b_hh,
               each (B, G·H)
    h, c       hidden state, LSTM cell, (B, H)
    dv         derivative of the loss by v, in v's shape

Rows are time-major and without padding, as in torch's PackedSequence: ``sizes[t]`` rows for step t, the longest
sequence first, so that the sequences still running at step t are the first ``sizes[t]``. A sequence that has ended, or
(in reverse) has not begun, keeps its state.

Each cell is a pair of functions. The forward function gives the new states and the values that its backward function
needs. The backward function takes the derivatives by the new states and gives those by x, by u, and by the states
before (without the part that goes through u).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]
States = tuple[Array, ...]  # (h,) or, for the LSTM, (h, c)
Step = Callable[[Array, Array, States], tuple[States, tuple[Array, ...]]]
Back = Callable[[tuple[Array, ...], States], tuple[Array, Array, States]]


def sigmoid(a: Array) -> Array:
    """σ(a) = 1 / (1 + e^-a), by tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * a))


# Elman (1990): h = f(x + u)


def rnn_tanh(x: Array, u: Array, states: States) -> tuple[States, tuple[Array, ...]]:
    """h = tanh(x + u)."""
    h = np.tanh(x + u)
    return (h,), (1 - h * h,)


def rnn_sigmoid(x: Array, u: Array, states: States) -> tuple[States, tuple[Array, ...]]:
    """h = σ(x + u)."""
    h = sigmoid(x + u)
    return (h,), (h * (1 - h),)


def rnn_relu(x: Array, u: Array, states: States) -> tuple[States, tuple[Array, ...]]:
    """h = max(0, x + u)."""
    h = np.maximum(x + u, 0)
    return (h,), ((h > 0).astype(h.dtype),)


def rnn_back(saved: tuple[Array, ...], dstates: States) -> tuple[Array, Array, States]:
    """da = dh ⊙ f'(a), a = x + u."""
    (slope,), (dh,) = saved, dstates
    da = dh * slope
    return da, da, (np.zeros_like(dh),)


# Hochreiter & Schmidhuber (1997), Gers et al. (2000)


def lstm(x: Array, u: Array, states: States) -> tuple[States, tuple[Array, ...]]:
    """i, f, o = σ(x + u), g = tanh(x + u);  c = f ⊙ c' + i ⊙ g;  h = o ⊙ tanh(c), with c' the cell before."""
    c_before = states[1]
    a_i, a_f, a_g, a_o = np.split(x + u, 4, axis=1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c = f * c_before + i * g
    tanh_c = np.tanh(c)
    return (o * tanh_c, c), (i, f, g, o, c_before, tanh_c)


def lstm_back(saved: tuple[Array, ...], dstates: States) -> tuple[Array, Array, States]:
    """c gets its derivative from the next step and through h; each gate gets it from the factor it multiplies."""
    i, f, g, o, c_before, tanh_c = saved
    dh, dc = dstates
    dc = dc + dh * o * (1 - tanh_c**2)
    da = np.concatenate(
        [
            dc * g * i * (1 - i),
            dc * c_before * f * (1 - f),
            dc * i * (1 - g**2),
            dh * tanh_c * o * (1 - o),
        ],
        axis=1,
    )
    return da, da, (np.zeros_like(dh), dc * f)


# Cho et al. (2014), with the reset gate after the product


def gru(x: Array, u: Array, states: States) -> tuple[States, tuple[Array, ...]]:
    """r, z = σ(x + u);  n = tanh(x_n + r ⊙ u_n);  h = (1 - z) ⊙ n + z ⊙ h', with h' the state before."""
    (h_before,) = states
    (x_r, x_z, x_n), (u_r, u_z, u_n) = np.split(x, 3, axis=1), np.split(u, 3, axis=1)
    r, z = sigmoid(x_r + u_r), sigmoid(x_z + u_z)
    n = np.tanh(x_n + r * u_n)
    return ((1 - z) * n + z * h_before,), (r, z, n, u_n, h_before)


def gru_back(saved: tuple[Array, ...], dstates: States) -> tuple[Array, Array, States]:
    """x and u differ in the candidate n alone: u_n enters it through the reset gate."""
    r, z, n, u_n, h_before = saved
    (dh,) = dstates
    da_n = dh * (1 - z) * (1 - n**2)
    da_z = dh * (h_before - n) * z * (1 - z)
    da_r = da_n * u_n * r * (1 - r)
    return np.hstack([da_r, da_z, da_n]), np.hstack([da_r, da_z, da_n * r]), (dh * z,)


CELLS: dict[str, tuple[Step, Back]] = {
    "rnn_tanh": (rnn_tanh, rnn_back),
    "rnn_sigmoid": (rnn_sigmoid, rnn_back),
    "rnn_relu": (rnn_relu, rnn_back),
    "lstm": (lstm, lstm_back),
    "gru": (gru, gru_back),
}


@dataclass
class Tape:
    """Values of `forward` that `backward` needs."""

    cell: str
    steps: list[tuple[slice, tuple[Array, ...]]]  # rows of each step in the order taken, and its cell's saved values
    rows: Array  # (N, D)
    h_before: Array  # (N, H): the state that entered each row's step
    w_ih: Array
    w_hh: Array


def forward(
    cell: str,
    rows: Array,
    sizes: Sequence[int],
    weights: tuple[Array, Array, Array, Array],
    states: States,
    reverse: bool = False,
) -> tuple[Array, States, Tape]:
    """One layer in one direction.

    Args:
        cell: One of `CELLS`.
        rows: Inputs of all steps, (N, D).
        sizes: Rows of each step, non-increasing, with the sum N.
        weights: W_ih (G·H, D), W_hh (G·H, H), b_ih and b_hh (G·H,).
        states: (h,) or (h, c) before the first step taken, each (B, H).
        reverse: Run from the last step to the first.

    Returns:
        Hidden states of all steps, (N, H); the states after each sequence's last step taken; the tape for `backward`.
    """
    w_ih, w_hh, b_ih, b_hh = weights
    step, _ = CELLS[cell]
    x = rows @ w_ih.T + b_ih  # of all steps at once
    states = tuple(state.copy() for state in states)
    outputs = np.empty((len(rows), w_hh.shape[1]), x.dtype)
    h_before = np.empty_like(outputs)
    ends = np.cumsum(sizes)
    steps = []
    for end, size in list(zip(ends, sizes, strict=True))[:: -1 if reverse else 1]:
        now = slice(end - size, end)
        before = tuple(state[:size].copy() for state in states)
        h_before[now] = before[0]
        after, saved = step(x[now], before[0] @ w_hh.T + b_hh, before)
        for state, new in zip(states, after, strict=True):
            state[:size] = new
        outputs[now] = after[0]
        steps.append((now, saved))
    return outputs, states, Tape(cell, steps, rows, h_before, w_ih, w_hh)


def backward(tape: Tape, doutputs: Array, dstates: States) -> tuple[Array, tuple[Array, Array, Array, Array], States]:
    """Derivatives of a loss by the arguments of `forward`, from those by its results.

    Args:
        tape: From `forward`.
        doutputs: Derivative by the outputs, (N, H).
        dstates: Derivatives by the states after, each (B, H).

    Returns:
        Derivatives by the rows (N, D), by the four weights, and by the states before.
    """
    _, back = CELLS[tape.cell]
    dstates = tuple(dstate.copy() for dstate in dstates)
    dx = np.empty((len(tape.rows), len(tape.w_hh)), doutputs.dtype)
    du = np.empty_like(dx)
    for now, saved in reversed(tape.steps):
        size = now.stop - now.start
        dafter = tuple(dstate[:size].copy() for dstate in dstates)
        dafter[0][:] += doutputs[now]
        dx[now], du[now], dbefore = back(saved, dafter)
        for dstate, new in zip(dstates, dbefore, strict=True):
            dstate[:size] = new
        dstates[0][:size] += du[now] @ tape.w_hh  # u = W_hh h' + b_hh
    return dx @ tape.w_ih, (dx.T @ tape.rows, du.T @ tape.h_before, dx.sum(0), du.sum(0)), dstates
