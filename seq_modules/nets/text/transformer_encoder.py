"""Transformer encoder over the embeddings of a text.

B batch, T time, D width, H heads.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import rotary_tables
from seq_modules.nets.transformer.block import Block, random_bytes
from seq_modules.nets.transformer.positions import sinusoidal_table
from seqlight.core.checks import check_choice, check_range
from seqlight.core.errors import UserError

Positions = Literal["sinusoidal", "rotary", "none"]


@dataclass(frozen=True)
class TransformerEncoderConfig:
    """Transformer encoder.

    Attributes:
        num_layers: Blocks, at least 1.
        num_heads: H; divides the width.
        d_ff: Width inside the feed-forward nets; by default 4·D.
        positions: "sinusoidal" vectors added to the input, "rotary" queries and keys, or "none".
        dropout: Fraction of each branch's output dropped while training, in steps of 1/256.

    Raises:
        UserError: A value is out of its range.
    """

    num_layers: int = 1
    num_heads: int = 4
    d_ff: int | None = None
    positions: Positions = "rotary"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_range("net.transformer.num_layers", self.num_layers, least=1)
        check_range("net.transformer.num_heads", self.num_heads, least=1)
        check_range("net.transformer.d_ff", self.d_ff, least=1)
        check_choice("net.transformer.positions", self.positions, Positions)
        check_range("net.transformer.dropout", self.dropout, least=0, below=1)


class TransformerEncoder(nn.Module):
    """Pre-norm Transformer encoder (Vaswani et al. 2017; Xiong et al. 2020): every token attends to every true one.

    Args:
        d_model: D.
        config: Its shape.

    Raises:
        UserError: D and the number of heads do not go together.
    """

    def __init__(self, d_model: int, config: TransformerEncoderConfig) -> None:
        super().__init__()
        heads, layers = config.num_heads, config.num_layers
        if d_model % heads:
            raise UserError(f"net.transformer.num_heads {heads} must divide net.d_model {d_model}")
        if config.positions == "rotary" and d_model // heads % 2:
            raise UserError(f"net.transformer.positions rotary needs heads of even width, not {d_model // heads}")
        self.positions, self.head_size, self.dropout = config.positions, d_model // heads, config.dropout
        self.blocks = nn.ModuleList(
            Block(d_model, heads, config.d_ff or 4 * d_model, dropout=config.dropout, activation="gelu")
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model)
        for block in self.blocks:
            assert isinstance(block, Block)
            for last in (block.attention.out, block.feed_forward.down):  # each branch starts small beside the stream
                nn.init.normal_(last.weight, std=0.02 / (2 * layers) ** 0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D), with a mask (B, T), true at the tokens that may be attended to."""
        steps, device = x.shape[1], x.device
        rotary = None
        if self.positions == "rotary":
            rotary = rotary_tables(steps, self.head_size).to(device, x.dtype)
        elif self.positions == "sinusoidal":
            x = x + sinusoidal_table(steps, x.shape[2]).to(device, x.dtype)
        visible = None if bool(mask.all()) else mask[:, None, None, :]  # (B, 1, 1, T): for all heads and queries

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=visible)

        noise = None
        if self.training and self.dropout:
            noise = random_bytes(2 * len(self.blocks), *x.shape, device=device)
        for layer, block in enumerate(self.blocks):
            dropped = None if noise is None else noise[2 * layer : 2 * layer + 2]
            x = block(x, rotary=rotary, noise=dropped, attend=attend)
        return self.norm(x)
