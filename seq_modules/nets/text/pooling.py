"""One vector from the states of a sequence, whatever its padding.

B batch, T time, D width, A width of the attention's scores. A mask is (B, T), true at the steps that count, of which
every row has at least one; they need not be at its beginning.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from seqlight.core.hyperparameters import check_choice, check_range

Pool = Literal["last", "mean", "max", "attention"]


class Pooling(nn.Module):
    """(B, T, D) to (B, D).

    Args:
        width: D.
        pooling: The "last" true state, the "mean" or the "max" over the true states, or their mean with learned weights
            ("attention").
        directions: 2 where the second half of D was read from the end: its last state is that of the first true step.
        attention_size: A, of "attention".
    """

    def __init__(self, width: int, pooling: Pool, directions: int = 1, attention_size: int = 64) -> None:
        super().__init__()
        check_choice("pooling", pooling, Pool)
        self.pooling, self.directions = pooling, directions
        self.attention = AdditiveAttention(width, attention_size) if pooling == "attention" else None

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The pooled states, (B, D), of states (B, T, D) and a mask (B, T) of booleans."""
        if self.attention is not None:
            return torch.einsum("bt,btd->bd", self.attention(x, mask), x)
        if self.pooling == "last":
            return last_state(x, mask, self.directions)
        return mean_state(x, mask) if self.pooling == "mean" else max_state(x, mask)


class AdditiveAttention(nn.Module):
    """Weights softmax(v·tanh(W h + b)) of the true steps (Bahdanau et al. 2015; over a sentence, Yang et al. 2016).

    Args:
        width: D.
        attention_size: A.
    """

    def __init__(self, width: int, attention_size: int) -> None:
        super().__init__()
        check_range("attention_size", attention_size, least=1)
        self.projection = nn.Linear(width, attention_size)
        self.context = nn.Linear(attention_size, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T), 0 at padding, each row with the sum 1, of states (B, T, D)."""
        scores = self.context(self.projection(x).tanh()).squeeze(-1)  # (B, T, 1) -> (B, T)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1)


def mean_state(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the true steps: (B, T, D) -> (B, D)."""
    counted = mask.unsqueeze(-1).to(x.dtype)
    return (x * counted).sum(1) / counted.sum(1)


def max_state(x: Tensor, mask: Tensor) -> Tensor:
    """Greatest value of each number over the true steps: (B, T, D) -> (B, D)."""
    return x.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)


def last_state(x: Tensor, mask: Tensor, directions: int = 1) -> Tensor:
    """State at the last true step, for the second of two directions at the first: (B, T, D) -> (B, D)."""
    steps = torch.arange(x.shape[1], device=x.device)
    last = (steps * mask).amax(1)
    rows = torch.arange(x.shape[0], device=x.device)
    if directions == 1:
        return x[rows, last]
    first = mask.int().argmax(1)
    forward, backward = x.chunk(2, dim=-1)  # (B, T, 2·H) -> 2 × (B, T, H)
    return torch.cat((forward[rows, last], backward[rows, first]), dim=-1)
