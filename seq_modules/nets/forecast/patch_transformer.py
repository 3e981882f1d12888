"""A Transformer over patches of the past (PatchTST, Nie et al. 2023).

B batch, L look-back, H horizon, C channels, Q numbers for each step and channel, P length of a patch, N patches, D
width of the Transformer.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.text.transformer_encoder import TransformerEncoder, TransformerEncoderConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class PatchConfig:
    """Patches: runs of steps that a Transformer reads as one token.

    Attributes:
        length: Steps of a patch, P, at most the look-back.
        stride: Steps from the start of a patch to that of the next, at most P.
        d_model: Width of the Transformer, D.
        head_dropout: Fraction of the states dropped before the last layer while training.

    Raises:
        UserError: A value is out of its range.
    """

    length: int = 16
    stride: int = 8
    d_model: int = 64
    head_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_range("net.patches.length", self.length, least=1)
        check_range("net.patches.stride", self.stride, least=1, most=self.length)
        check_range("net.patches.d_model", self.d_model, least=1)
        check_range("net.patches.head_dropout", self.head_dropout, least=0, below=1)


class PatchTransformer(nn.Module):
    """Patches of the past are the tokens of a Transformer encoder; a linear layer maps all its states to the horizon.

    As the authors do, the last value is repeated for one stride at the end of the past.

    Args:
        lookback: L.
        horizon: H.
        channels: C.
        outputs: Q.
        patches: The patches.
        transformer: The Transformer over them.

    Raises:
        UserError: A patch is longer than the look-back, or the width does not go with the number of heads.
    """

    def __init__(
        self,
        lookback: int,
        horizon: int,
        channels: int,
        outputs: int,
        patches: PatchConfig,
        transformer: TransformerEncoderConfig,
    ) -> None:
        super().__init__()
        if patches.length > lookback:
            raise UserError(f"net.patches.length {patches.length} must be at most lookback {lookback}")
        self.shape, self.length, self.stride = (horizon, channels, outputs), patches.length, patches.stride
        count = (lookback - patches.length) // patches.stride + 2
        self.embed = nn.Linear(patches.length * channels, patches.d_model)
        self.encoder = TransformerEncoder(patches.d_model, transformer)
        self.dropout = nn.Dropout(patches.head_dropout)
        self.head = nn.Linear(count * patches.d_model, horizon * channels * outputs)

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        tokens = self.embed(cut(past, self.length, self.stride))  # (B, N, D)
        everywhere = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        states = self.encoder(tokens, everywhere).flatten(1)  # (B, N·D)
        return self.head(self.dropout(states)).unflatten(1, self.shape)


def cut(past: Tensor, length: int, stride: int) -> Tensor:
    """Patches of all channels, (B, L, C) to (B, N, C·P), N = (L - P) // stride + 2."""
    padded = F.pad(past.mT, (0, stride), mode="replicate")  # (B, C, L + stride)
    return padded.unfold(-1, length, stride).transpose(1, 2).flatten(2)  # (B, C, N, P) -> (B, N, C, P) -> (B, N, C·P)
