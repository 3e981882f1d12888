"""Several text encoders with a head each, that take turns in training and whose probabilities are averaged.

B batch, T time, W width of a sentence's vector, K encoders.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.ensemble import averaged
from seq_modules.nets.text.text_encoder import TextEncoder


class TextEnsemble(nn.Module):
    """K encoders; in training mode a batch goes through one of them alone, ``turn``, in evaluation mode through all.

    What is asked of one encoder, such as its attention or its words' vectors, the first answers as an example.

    Args:
        members: The encoders, of one kind.

    Attributes:
        turn: Number of the encoder that training goes through; who trains them moves it on.
    """

    def __init__(self, members: Sequence[TextEncoder]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.turn = 0
        self.width = members[0].width

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """What each encoder says of the sentence, (B, K, W), in training (B, 1, W); arguments as for TextEncoder."""
        asked = [self.members[self.turn]] if self.training else list(self.members)
        return torch.stack([encoder(input_ids, mask) for encoder in asked], dim=1)

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The blocks of all Transformers, for Muon; None where there is no Transformer."""
        blocks = [block for encoder in self._encoders for block in encoder.blocks or []]
        return nn.ModuleList(blocks) if blocks else None

    @property
    def pooling(self) -> Any:
        """As TextEncoder's."""
        return self._encoders[0].pooling

    def looks(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """As TextEncoder's."""
        return self._encoders[0].looks(input_ids, mask)

    def token_vectors(self) -> Tensor:
        """As TextEncoder's."""
        return self._encoders[0].token_vectors()

    @property
    def _encoders(self) -> list[Any]:
        return list(self.members)


class EnsembleHead(nn.Module):
    """A linear layer for each encoder, and the mean of the probabilities.

    Args:
        width: W.
        classes: C.
        members: K.

    Attributes:
        turn: As the encoders'.
    """

    def __init__(self, width: int, classes: int, members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.Linear(width, classes) for _ in range(members))
        self.turn = 0

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits (B, C) whose probabilities are the mean of the encoders', from (B, K, W), in training (B, 1, W)."""
        if self.training:
            return self.members[self.turn](vectors[:, 0])
        return averaged([head(vectors[:, k]).float() for k, head in enumerate(self.members)])
