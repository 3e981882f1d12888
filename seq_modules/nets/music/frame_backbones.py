"""What carries a piece through time in a net over frames: recurrent layers, or Transformer blocks.

Both map (B, T, D) to (B, T, D), causally, and can be fed step by step with a state of their own.

B batch, T time, D width, K head size.
"""

from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.rnn.cells import Cell
from seq_modules.nets.rnn.recurrent import Backend, Recurrent
from seq_modules.nets.transformer.block import Block, drop, random_bytes
from seq_modules.nets.transformer.positions import rotary_tables
from seqlight.core.errors import UserError


def dropped(x: Tensor, share: float, training: bool) -> Tensor:
    """Dropout by random bytes while training: torch's own took a tenth of a step's time on a CPU."""
    return drop(x, random_bytes(*x.shape, device=x.device), share) if training and share else x


class RecurrentBody(nn.Module):
    """Recurrent layers of width D.

    Args:
        d_model: D.
        num_layers: Layers on top of each other.
        cell: Recurrent cell.
        dropout: Share dropped between layers and of the outputs, while training.
        backend: Engine; see :class:`seq_modules.nets.rnn.recurrent.Recurrent`.
    """

    def __init__(self, d_model: int, num_layers: int, cell: Cell, dropout: float, backend: Backend) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = Recurrent(d_model, d_model, cell=cell, num_layers=num_layers, dropout=dropout, backend=backend)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        return self.decode_step(x, None)[0]

    def decode_step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Goes on by (B, T, D) from a state, None at the beginning. Returns (B, T, D) and the state after it."""
        hidden, state = self.layers(x, None, state)
        return dropped(hidden, self.dropout, self.training), state


class TransformerBody(nn.Module):
    """Pre-norm Transformer blocks with rotary positions.

    Args:
        d_model: D, a multiple of num_heads.
        num_layers: Blocks.
        num_heads: Attention heads.
        dropout: Share dropped of the input and of each branch's output, while training.
        max_seq_len: Longest sequence.

    Raises:
        ValueError: If the width is no multiple of the heads.
    """

    tables: Tensor

    def __init__(self, d_model: int, num_layers: int, num_heads: int, dropout: float, max_seq_len: int) -> None:
        super().__init__()
        if d_model % num_heads:
            raise UserError(f"num_heads {num_heads} must divide d_model {d_model}")
        self.dropout, self.max_seq_len = dropout, max_seq_len
        self.blocks = nn.ModuleList(Block(d_model, num_heads, 4 * d_model, dropout=dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model)
        self.register_buffer("tables", rotary_tables(max_seq_len, d_model // num_heads), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D), T at most ``max_seq_len``.

        Raises:
            ValueError: If T is too long.
        """
        if x.shape[1] > self.max_seq_len:
            raise UserError(f"max_seq_len {self.max_seq_len} is too short for {x.shape[1]} frames; give more")
        noise: Tensor | None = None
        if self.training and self.dropout:
            noise = random_bytes(2 * len(self.blocks) + 1, *x.shape, device=x.device)
            x = drop(x, noise[-1], self.dropout)
        rotary = self.tables[:, : x.shape[1]]
        for layer, block in enumerate(self.blocks):
            x = block(x, rotary=rotary, noise=None if noise is None else noise[2 * layer : 2 * layer + 2])
        return self.norm(x)

    def decode_step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As the recurrent body's. The state is what was read, which is read again: a piece has a hundred frames."""
        seen = x if state is None else torch.cat((state, x), dim=1)
        return self(seen)[:, -x.shape[1] :], seen
