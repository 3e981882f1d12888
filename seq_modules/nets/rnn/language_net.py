"""A recurrent language model's net: embedding, recurrent layers, head.

B batch, T time, D width of the embedding, H hidden width, V vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.rnn.cells import State
from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class RNNConfig:
    """Shape of a recurrent language model.

    Attributes:
        d_model: Width of the embedding.
        dropout: Fraction dropped of the embedding and before the head, while training, in [0, 1).
        tie_weights: Use the embedding as the head's weights; needs d_model equal to rnn.hidden_size.
        rnn: The recurrent layers, of one direction.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    d_model: int = 128
    dropout: float = 0.0
    tie_weights: bool = False
    rnn: RecurrentConfig = RecurrentConfig(hidden_size=256)

    def __post_init__(self) -> None:
        check_range("net.d_model", self.d_model, least=1)
        check_range("net.dropout", self.dropout, least=0, below=1)
        if self.tie_weights and self.d_model != self.rnn.hidden_size:
            raise UserError(
                f"net.tie_weights needs net.d_model ({self.d_model}) and net.rnn.hidden_size ({self.rnn.hidden_size}) "
                "to be equal"
            )
        if self.rnn.bidirectional:
            raise UserError("net.rnn.bidirectional must be false: the next token is predicted from those before it")


class RNNNet(nn.Module):
    """Next-token net on recurrent layers (Mikolov et al. 2010; Graves 2013).

    Args:
        vocab_size: V.
        config: The net's shape.
        embedding: In place of the token embedding, for ids that are no rows of one table; gives (B, T, D) of (B, T).
        head: In place of the linear layer to V logits; not tied.

    Raises:
        UserError: An argument is out of its range.
    """

    def __init__(
        self,
        vocab_size: int,
        config: RNNConfig = RNNConfig(),
        *,
        embedding: nn.Embedding | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_range("vocab_size", vocab_size, least=1)
        width = config.d_model
        self.dropout = config.dropout
        self.embedding = nn.Embedding(vocab_size, width) if embedding is None else embedding
        self.layers = build_recurrent(width, config.rnn)
        self.head = nn.Linear(config.rnn.hidden_size, vocab_size) if head is None else head
        if config.tie_weights and head is None:
            nn.init.normal_(self.embedding.weight, std=width**-0.5)  # a head's scale; torch's N(0, 1) is too wide
            self.head.weight = self.embedding.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits of the next token, (B, T, V), from ids (B, T)."""
        hidden, _ = self.run(input_ids)
        return self.head(hidden)

    def run(self, input_ids: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Hidden states (B, T, H) and the state after each row's last true step, from ids (B, T)."""
        x = F.dropout(self.embedding(input_ids), self.dropout, self.training)
        hidden, state = self.layers(x, lengths, state)
        return F.dropout(hidden, self.dropout, self.training), state

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the net reads: all of them."""
        return ids

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
        """Reads prompts (B, T), padded on the right, of true lengths (B,).

        Returns:
            Logits (B, V) after each row's last true token, and the state for :meth:`decode_step`.
        """
        hidden, state = self.run(input_ids, lengths)
        last = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return self.head(last), state

    def decode_step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Reads one more token of each row, (B,). Returns logits (B, V) and the state after it."""
        hidden, state = self.run(ids.unsqueeze(1), None, state)
        return self.head(hidden.squeeze(1)), state

    def reorder(self, state: State, rows: Tensor) -> State:
        """The state in which row i is what row ``rows[i]`` was, (B',); a row may be taken several times."""
        if isinstance(state, tuple):
            return state[0].index_select(1, rows), state[1].index_select(1, rows)
        return state.index_select(1, rows)
