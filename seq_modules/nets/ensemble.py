"""Several nets of one kind as one language model: their probabilities averaged.

B batch, T time, V vocabulary, L layers, H heads, K nets.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlight.core.errors import UserError


class Ensemble(nn.Module):
    """Nets that differ by their first weights, their n-grams' hashes and the batches they see (Hansen & Salamon 1990).

    What one net has learned by heart of a small text, another has not, so that the mean of their probabilities loses
    less than they do (Lakshminarayanan et al. 2017). In training mode a batch goes through one net alone, ``turn``: K
    nets cost a step no more than one does, and share the steps. In evaluation mode all of them read.

    Args:
        members: K nets, each as in seq_modules/generation/decode.py.

    Attributes:
        turn: Number of the net that training goes through; who trains them moves it on.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise UserError("members must be at least one net")
        self.members = nn.ModuleList(members)
        self.turn = 0

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks of all nets."""
        return nn.ModuleList(block for net in self._nets for block in net.blocks)

    @property
    def max_seq_len(self) -> int:
        """Longest context."""
        return self._nets[0].max_seq_len

    @property
    def _nets(self) -> list[Any]:
        return list(self.members)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits (B, T, V) from ids (B, T): of the net in training, or else those of the mean probabilities."""
        if self.training:
            return self._nets[self.turn](input_ids)
        return averaged([net(input_ids) for net in self._nets])

    @property
    def position_table(self) -> Tensor | None:
        """Learned positions of the first net, to look at."""
        return self._nets[0].position_table

    def attention_maps(self, input_ids: Tensor) -> Tensor:
        """Where the first net looks, as an example: (B, L, H, T, T) from ids (B, T)."""
        return self._nets[0].attention_maps(input_ids)

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the nets look at."""
        return self._nets[0].window(ids)

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, list[Any]]:
        """As the nets' own, with the states of all."""
        logits, states = zip(*(net.prefill(input_ids, lengths) for net in self._nets), strict=True)
        return averaged(logits), list(states)

    def decode_step(self, ids: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        """As the nets' own, with the states of all."""
        logits, states = zip(
            *(net.decode_step(ids, own) for net, own in zip(self._nets, state, strict=True)), strict=True
        )
        return averaged(logits), list(states)


def averaged(logits: Sequence[Tensor]) -> Tensor:
    """Logits (..., V) whose probabilities are the mean of K nets'; of nets that agree they are the nets' own.

    A repetition penalty looks at the logits' signs, so they are not left as logarithms of probabilities.
    """
    scale = logits[0].logsumexp(-1, keepdim=True)
    total = logits[0] - scale
    for other in logits[1:]:
        own = other.logsumexp(-1, keepdim=True)
        total, scale = torch.logaddexp(total, other - own), scale + own
    return total - math.log(len(logits)) + scale / len(logits)
