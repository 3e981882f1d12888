"""Nets over the frames of a piece: recurrent layers, or Transformer blocks.

Both map (B, T, D) to (B, T, D), causally, and can be fed step by step with a state of their own.

B batch, T time, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.attention import rotary_tables
from seq_modules.nets.transformer.block import Block, drop, drop_embedding, random_bytes
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


def dropped(x: Tensor, fraction: float, training: bool) -> Tensor:
    """Dropout by random bytes while training: torch's own took a tenth of a step's time on a CPU."""
    return drop(x, random_bytes(*x.shape, device=x.device), fraction) if training and fraction else x


class RecurrentBackbone(nn.Module):
    """Recurrent layers as wide as their inputs, D.

    Args:
        config: The layers; ``dropout`` applies to the outputs too.

    Attributes:
        d_model: D, the config's ``hidden_size``.

    Raises:
        UserError: The config is bidirectional.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        if config.bidirectional:
            raise UserError("net.bidirectional must be false: a frame is predicted from those before it alone")
        self.d_model, self.dropout = config.hidden_size, config.dropout
        self.layers = build_recurrent(config.hidden_size, config)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        return self.decode_step(x, None)[0]

    def decode_step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Goes on by (B, T, D) from a state, None at the beginning. Returns (B, T, D) and the state after it."""
        hidden, state = self.layers(x, None, state)
        return dropped(hidden, self.dropout, self.training), state


@dataclass(frozen=True)
class FrameTransformerConfig:
    """Shape of a Transformer over frames.

    Attributes:
        d_model: Width of the residual stream, D.
        num_layers: Blocks.
        num_heads: Attention heads; divides d_model.
        max_seq_len: Longest piece in frames.
        dropout: Fraction dropped of the input and of each branch's output while training.

    Raises:
        UserError: A value is out of its range, or the heads do not divide the width.
    """

    d_model: int = 192
    num_layers: int = 4
    num_heads: int = 6
    max_seq_len: int = 512
    dropout: float = 0.3

    def __post_init__(self) -> None:
        for name in ("d_model", "num_layers", "num_heads", "max_seq_len"):
            check_range(f"net.{name}", getattr(self, name), least=1)
        check_range("net.dropout", self.dropout, least=0, below=1)
        if self.d_model % self.num_heads:
            raise UserError(f"net.num_heads {self.num_heads} must divide net.d_model {self.d_model}")


class TransformerBackbone(nn.Module):
    """Pre-norm Transformer blocks with rotary positions.

    Args:
        config: The net's shape.

    Attributes:
        d_model: D.
        max_seq_len: Longest sequence.
    """

    tables: Tensor

    def __init__(self, config: FrameTransformerConfig) -> None:
        super().__init__()
        width, heads, self.dropout = config.d_model, config.num_heads, config.dropout
        self.d_model, self.max_seq_len = width, config.max_seq_len
        self.blocks = nn.ModuleList(
            Block(width, heads, 4 * width, dropout=self.dropout) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.register_buffer("tables", rotary_tables(self.max_seq_len, width // heads), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D), T at most ``max_seq_len``.

        Raises:
            UserError: T is too long.
        """
        if x.shape[1] > self.max_seq_len:
            raise UserError(f"net.max_seq_len {self.max_seq_len} is too short for {x.shape[1]} frames; give more")
        layer_dropout_bytes: Sequence[Tensor | None] = [None] * len(self.blocks)
        if self.training and self.dropout:
            x, layer_dropout_bytes = drop_embedding(x, self.dropout, len(self.blocks))
        rotary = self.tables[:, : x.shape[1]]
        for block, dropout_bytes in zip(self.blocks, layer_dropout_bytes, strict=True):
            x = block(x, rotary=rotary, dropout_bytes=dropout_bytes)
        return self.norm(x)

    def decode_step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As the recurrent backbone's. The state is all inputs so far, which are read anew: pieces are short."""
        seen = x if state is None else torch.cat((state, x), dim=1)
        return self(seen)[:, -x.shape[1] :], seen
