"""Attention of a recurrent decoder to its source, with the two classical scores.

B batch, T time of the target, S time of the source, H width of the decoder's state, M width of the source's states,
A width of the keys.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

Score = Literal["additive", "dot"]


class Attention(nn.Module):
    """Weights of the source's states for each state of the decoder, a softmax over scores.

    "additive" is v·tanh(W q + U m) (Bahdanau et al. 2015, A.1.2). "dot" is q·W m, the form that Luong et al. (2015)
    call general: their bare product q·m needs states of equal width, which those of a bidirectional encoder are not.

    Args:
        score: Which of the two.
        width: H.
        memory_width: M.
        key_width: A of "additive"; for "dot" it is H.
    """

    def __init__(self, score: Score, width: int, memory_width: int, key_width: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_width, width if score == "dot" else key_width, bias=False)
        self.query = nn.Linear(width, key_width) if score == "additive" else None
        self.v = nn.Parameter(torch.empty(key_width)) if score == "additive" else None
        if self.v is not None:
            nn.init.uniform_(self.v, -1 / math.sqrt(key_width), 1 / math.sqrt(key_width))

    def forward(self, states: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Weights (B, T, S), each row with the sum 1 and 0 at padding.

        Args:
            states: Of the decoder, (B, T, H).
            keys: What ``self.key`` makes of the source's states, (B, S, A), once for a whole target.
            mask: Booleans (B, S), true at the source's tokens, of which there is one at least.
        """
        if self.query is None or self.v is None:
            scores = states @ keys.mT  # (B, T, A) and (B, A, S) -> (B, T, S)
        else:
            # (B, T, 1, A) and (B, 1, S, A) -> (B, T, S, A) -> (B, T, S)
            scores = torch.tanh(self.query(states)[:, :, None] + keys[:, None]) @ self.v
        return scores.masked_fill(~mask[:, None], -math.inf).softmax(-1)
