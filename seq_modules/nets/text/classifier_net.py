"""A text encoder with linear heads: one for the labels, one for auxiliary labels where there are any.

B batch, T time, W width of a text's vector, C classes, A auxiliary classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

HALF = (torch.float16, torch.bfloat16)


class ClassifierNet(nn.Module):
    """Ids to logits.

    Args:
        encoder: Ids (B, T) and a mask (B, T) to vectors (B, W).
        head: Linear layer from W to C.
        aux_head: Linear layer from W to A; None for no auxiliary labels.
    """

    def __init__(self, encoder: Any, head: nn.Linear, aux_head: nn.Linear | None = None) -> None:
        super().__init__()
        self.encoder, self.head, self.aux_head = encoder, head, aux_head

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The encoder's Transformer blocks, for Muon; None where it has none."""
        return getattr(self.encoder, "blocks", None)

    def forward(self, input_ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Logits (B, C), and with auxiliary labels (B, A), from ids (B, T) and a mask (B, T) of booleans.

        They are in float32 where the net is in half precision.
        """
        vectors = self.encoder(input_ids, mask)
        heads = [self.head] if self.aux_head is None else [self.head, self.aux_head]
        logits = [head(vectors) for head in heads]
        return [z.float() if z.dtype in HALF else z for z in logits]


def classifier_nets(encoders: Sequence[Any], num_classes: int, num_aux_classes: int) -> list[ClassifierNet]:
    """A net of each encoder. The heads' weights are drawn here, first those of all heads for labels."""
    heads = [nn.Linear(encoder.width, num_classes) for encoder in encoders]
    aux_heads = [nn.Linear(encoder.width, num_aux_classes) if num_aux_classes else None for encoder in encoders]
    return [ClassifierNet(*parts) for parts in zip(encoders, heads, aux_heads, strict=True)]
