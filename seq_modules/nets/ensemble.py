"""Several nets of one kind as one language model: their probabilities averaged.

B batch, T time, V vocabulary, L layers, H heads, K nets.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Nets that differ by their first weights and by the batches they see (Hansen & Salamon 1990).

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
            raise ValueError("members must be at least one net")
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
        """(B, T, V) from ids (B, T): logits of the net in training, or else the logarithm of the mean probabilities."""
        if self.training:
            return self._nets[self.turn](input_ids)
        return log_mean([net(input_ids) for net in self._nets])

    def attention_maps(self, input_ids: Tensor) -> Tensor:
        """The nets' maps one after another, (B, K·L, H, T, T), from ids (B, T)."""
        return torch.cat([net.attention_maps(input_ids) for net in self._nets], dim=1)

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the nets look at."""
        return self._nets[0].window(ids)

    def start(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, list[Any]]:
        """As the nets' own, with the states of all."""
        logits, states = zip(*(net.start(input_ids, lengths) for net in self._nets), strict=True)
        return log_mean(logits), list(states)

    def advance(self, ids: Tensor, state: list[Any]) -> tuple[Tensor, list[Any]]:
        """As the nets' own, with the states of all."""
        logits, states = zip(*(net.advance(ids, own) for net, own in zip(self._nets, state, strict=True)), strict=True)
        return log_mean(logits), list(states)


def log_mean(logits: Sequence[Tensor]) -> Tensor:
    """Logarithm of the mean of K nets' probabilities, (..., V), from their logits (..., V)."""
    total = logits[0].log_softmax(-1)
    for other in logits[1:]:
        total = torch.logaddexp(total, other.log_softmax(-1))
    return total - math.log(len(logits))
