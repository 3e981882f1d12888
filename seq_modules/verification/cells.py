"""One step of a recurrent net on sets of states, for every state of a set at once.

Letters as in nets/rnn/cells.py: H hidden width, G blocks of H in a cell's weights, x what a step's input contributes, u
what the state before contributes, h and c the hidden state and the LSTM's cell. N coordinates of a state: H, and 2·H
for the LSTM (h, then c). B sets.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from seq_modules.verification.ellipsoids import Array, Ellipsoids, up


@dataclass(frozen=True)
class ParityNet:
    """A recurrent net of one layer that reads a bit, as -1 or 1, and gives the logit of "odd".

    Attributes:
        cell: Which of the cells; the rnn with tanh.
        w_ih: (G·H, 1).
        w_hh: (G·H, H).
        b_ih: (G·H,).
        b_hh: (G·H,).
        head: Weights of the logit, (1, H).
        head_bias: (1,).
    """

    cell: Literal["rnn", "lstm", "gru"]
    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array
    head: Array
    head_bias: Array

    @property
    def hidden_size(self) -> int:
        """H."""
        return self.w_hh.shape[1]

    @property
    def state_size(self) -> int:
        """N."""
        return self.hidden_size * (2 if self.cell == "lstm" else 1)

    def step(self, states: Ellipsoids, bit: int) -> Ellipsoids:
        """The states after one more bit."""
        x, h = [self.w_ih[:, 0] * (2 * bit - 1), self.b_ih], states.coordinates(slice(0, self.hidden_size))
        if self.cell == "gru":
            return self.gru_step(np.stack(x), h)
        sums = h.affine(self.w_hh, np.stack([*x, self.b_hh]))
        if self.cell == "rnn":
            return sums.tanh()
        return self.lstm_step(sums, states.coordinates(slice(self.hidden_size, None)))

    def lstm_step(self, sums: Ellipsoids, c: Ellipsoids) -> Ellipsoids:
        """i, f, o = σ(sums), g = tanh(sums);  c = f ⊙ c + i ⊙ g;  h = o ⊙ tanh(c)."""
        i, f, g, o = blocks(sums, 4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        kept, new = f * c, i * g
        c = (kept + new).rounded(3, kept.magnitude + new.magnitude)
        h = o * c.tanh()
        return joined(h.rounded(1, h.magnitude), c)

    def gru_step(self, x: Array, h: Ellipsoids) -> Ellipsoids:
        """r, z = σ(x + u);  n = tanh(x_n + r ⊙ u_n);  h = n + z ⊙ (h - n), which is (1 - z) ⊙ n + z ⊙ h."""
        width = self.hidden_size
        gates = h.affine(self.w_hh[: 2 * width], np.stack([*x[:, : 2 * width], self.b_hh[: 2 * width]]))
        r, z = blocks(gates.sigmoid(), 2)
        u_n = h.affine(self.w_hh[2 * width :], self.b_hh[None, 2 * width :])
        reset = r * u_n
        magnitude = up(np.abs(x[:, 2 * width :]).sum(0) + reset.magnitude)
        n = reset.plus(x[:, 2 * width :].sum(0)).rounded(4, magnitude).tanh()
        after = n + z * (h + -n)
        return after.rounded(6, 2 * (n.magnitude + h.magnitude))  # in either form

    def logits(self, states: Ellipsoids) -> tuple[Array, Array]:
        """Smallest and largest logit of each set, (B,) both."""
        low, high = states.coordinates(slice(0, self.hidden_size)).affine(self.head, self.head_bias[None]).bounds
        return low[:, 0], high[:, 0]


def blocks(x: Ellipsoids, count: int) -> list[Ellipsoids]:
    """The coordinates in so many equal parts."""
    width = x.centre.shape[1] // count
    return [x.coordinates(slice(k * width, (k + 1) * width)) for k in range(count)]


def joined(*parts: Ellipsoids) -> Ellipsoids:
    """The coordinates of several sets with common generators."""
    return Ellipsoids(
        np.concatenate([part.centre for part in parts], 1),
        np.concatenate([part.generators for part in parts], 1),
        np.concatenate([part.radius for part in parts], 1),
    )
