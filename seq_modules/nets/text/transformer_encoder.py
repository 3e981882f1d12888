"""Transformer encoder over the embeddings of a text or of other symbols.

B batch, T time, D width, L layers, H heads.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.transformer.attention import Attend, attention_weights, rotary_tables
from seq_modules.nets.transformer.block import Block, random_bytes
from seq_modules.nets.transformer.positions import alibi_bias, alibi_slopes, sinusoidal_table
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Positions = Literal["sinusoidal", "rotary", "alibi", "none"]


@dataclass(frozen=True)
class TransformerEncoderConfig:
    """Transformer encoder.

    Attributes:
        num_layers: Blocks, at least 1.
        num_heads: H; divides the width.
        d_ff: Width inside the feed-forward nets; by default 4·D.
        positions: "sinusoidal" vectors added to the input, "rotary" queries and keys, "alibi" scores that fall with the
            distance (Press, Smith & Lewis 2022), or "none".
        dropout: Fraction of each branch's output dropped while training, in steps of 1/256.
        causal: Attend to no later token, as a recurrent net does; false attends to all.

    Raises:
        UserError: A value is out of its range.
    """

    num_layers: int = 1
    num_heads: int = 4
    d_ff: int | None = None
    positions: Positions = "rotary"
    dropout: float = 0.0
    causal: bool = False

    def __post_init__(self) -> None:
        check_range("net.transformer.num_layers", self.num_layers, least=1)
        check_range("net.transformer.num_heads", self.num_heads, least=1)
        check_range("net.transformer.d_ff", self.d_ff, least=1)
        check_choice("net.transformer.positions", self.positions, Positions)
        check_range("net.transformer.dropout", self.dropout, least=0, below=1)


class TransformerEncoder(nn.Module):
    """Pre-norm Transformer encoder (Vaswani et al. 2017; Xiong et al. 2020).

    Every token attends to every true one, or with ``causal`` to those up to it.

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
        self.positions, self.causal, self.dropout = config.positions, config.causal, config.dropout
        self.num_heads, self.head_size = heads, d_model // heads
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
        visible = self.visible(mask, x.dtype)
        return self.run(x, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=visible))

    def attention_maps(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention weights of all layers, (B, L, H, T, T), each row with the sum 1; arguments as for ``forward``."""
        visible, maps = self.visible(mask, x.dtype), list[Tensor]()
        if visible is None:
            visible = x.new_zeros(x.shape[1], x.shape[1])

        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            maps.append(attention_weights(q, k, visible))
            return maps[-1] @ v

        self.run(x, attend)
        return torch.stack(maps, dim=1)  # L × (B, H, T, T) -> (B, L, H, T, T)

    def run(self, x: Tensor, attend: Attend) -> Tensor:
        """(B, T, D) to (B, T, D), with what is to be done with queries, keys and values."""
        steps, device = x.shape[1], x.device
        rotary = None
        if self.positions == "rotary":
            rotary = rotary_tables(steps, self.head_size).to(device, x.dtype)
        elif self.positions == "sinusoidal":
            x = x + sinusoidal_table(steps, x.shape[2]).to(device, x.dtype)
        dropout_bytes = None
        if self.training and self.dropout:
            dropout_bytes = random_bytes(2 * len(self.blocks), *x.shape, device=device)
        for layer, block in enumerate(self.blocks):
            dropped = None if dropout_bytes is None else dropout_bytes[2 * layer : 2 * layer + 2]
            x = block(x, rotary=rotary, dropout_bytes=dropped, attend=attend)
        return self.norm(x)

    def visible(self, mask: Tensor, dtype: torch.dtype) -> Tensor | None:
        """The attention's mask, which broadcasts to (B, H, T, T); None where every token attends to all.

        It is true where a query (row) may attend to a key, or with ALiBi the bias there and minus infinity elsewhere.
        """
        steps, device = mask.shape[1], mask.device
        allowed: Tensor | None = mask[:, None, None, :]  # (B, 1, 1, T): for all heads and queries
        if not torch.compiler.is_exporting() and bool(mask.all()):  # an exported graph is for any mask
            allowed = None
        if self.causal:
            past = torch.ones(steps, steps, dtype=torch.bool, device=device).tril()
            allowed = past if allowed is None else past & allowed
        if self.positions != "alibi":
            return allowed
        positions = torch.arange(steps, device=device)
        bias = alibi_bias(alibi_slopes(self.num_heads).to(device), positions, positions).to(dtype)
        return bias if allowed is None else bias.masked_fill(~allowed, -torch.inf)
