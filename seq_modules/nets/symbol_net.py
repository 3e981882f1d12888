"""Symbols to logits at every step: a recurrent net of any cell, or a causal Transformer.

B batch, T time, V symbols, D width of the Transformer, C classes.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoder, TransformerEncoderConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Backbone = Literal["recurrent", "transformer"]


@dataclass(frozen=True)
class SymbolNetConfig:
    """A net over a few symbols.

    Attributes:
        backbone: A "recurrent" net (group rnn) reads the symbols as unit vectors; a "transformer" (group transformer)
            reads a linear map of them, and attends to no later step.
        rnn: The recurrent net, of one direction.
        d_model: Width of the Transformer.
        transformer: The Transformer; it is causal whatever the group says.

    Raises:
        UserError: A value is out of its range.
    """

    backbone: Backbone = "recurrent"
    rnn: RecurrentConfig = RecurrentConfig(hidden_size=32)
    d_model: int = 64
    transformer: TransformerEncoderConfig = TransformerEncoderConfig(num_layers=2)

    def __post_init__(self) -> None:
        check_choice("net.backbone", self.backbone, Backbone)
        check_range("net.d_model", self.d_model, least=1)
        if self.rnn.bidirectional:
            raise UserError("net.rnn.bidirectional must be false: an answer is given after the symbols so far")


class SymbolNet(nn.Module):
    """Reads symbols one by one and gives logits of the classes after each.

    Args:
        vocab_size: V.
        num_classes: C.
        config: The net's shape.
    """

    def __init__(self, vocab_size: int, num_classes: int, config: SymbolNetConfig) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.recurrent = self.transformer = self.embed = None
        if config.backbone == "recurrent":
            self.recurrent = build_recurrent(vocab_size, config.rnn)
            width = self.recurrent.output_size
        else:
            width = config.d_model
            self.embed = nn.Linear(vocab_size, width)
            self.transformer = TransformerEncoder(width, replace(config.transformer, causal=True))
        self.head = nn.Linear(width, num_classes)

    def forward(
        self, input_ids: Tensor, mask: Tensor | None = None, state: State | None = None, noise: float = 0.0
    ) -> tuple[Tensor, State | None]:
        """Logits (B, T, C), and the recurrent net's state after each row's last symbol; None with a Transformer.

        Args:
            input_ids: (B, T), padded on the right.
            mask: True at the symbols of a row, (B, T); by default everywhere.
            state: State to go on from; for the recurrent net alone.
            noise: Standard deviation of Gaussian noise on the unit vectors.

        Raises:
            UserError: A state is given to a Transformer.
        """
        hidden, state = self.hidden(input_ids, mask, state, noise)
        return self.head(hidden), state

    def hidden(
        self, input_ids: Tensor, mask: Tensor | None = None, state: State | None = None, noise: float = 0.0
    ) -> tuple[Tensor, State | None]:
        """The last layer's states (B, T, H), of which :meth:`forward` makes its logits; arguments as there."""
        x = F.one_hot(input_ids, self.vocab_size).to(self.head.weight.dtype)
        if noise:  # drawn for padding too, which no net reads
            x = x + noise * torch.randn_like(x)
        if self.recurrent is not None:
            return self.recurrent(x, None if mask is None else mask.sum(1), state)
        if state is not None:
            raise UserError("a Transformer has no state to go on from")
        assert self.embed is not None
        assert self.transformer is not None
        mask = torch.ones_like(input_ids, dtype=torch.bool) if mask is None else mask
        return self.transformer(self.embed(x), mask), None
