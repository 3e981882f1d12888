"""A recurrent language model's net: embedding, recurrent layers, head.

B batch, T time, D width of the embedding, H hidden width, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.rnn.cells import Cell
from seq_modules.nets.rnn.recurrent import Backend, Recurrent, State
from seqlight.core.errors import UserError


class RNNNet(nn.Module):
    """Next-token net on :class:`seq_modules.nets.rnn.recurrent.Recurrent` (Mikolov et al. 2010; Graves 2013).

    Args:
        vocab_size: V.
        d_model: Width of the embedding, D.
        hidden_size: Width of the hidden state, H.
        num_layers: Recurrent layers.
        cell: Recurrent cell.
        dropout: Share dropped of the embedding, between layers, and before the head, while training.
        forget_bias: Start of the LSTM's forget-gate bias; None leaves it as drawn.
        tie_weights: Use the embedding as the head's weights; needs ``d_model == hidden_size``.
        backend: Engine of the recurrence; see Recurrent.
        embedding: In place of the token embedding, for ids that are no rows of one table; gives (B, T, D) of (B, T).
        head: In place of the linear layer to V logits; not tied.

    Raises:
        ValueError: If an argument is out of its range, or one does not go with another.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 128,
        hidden_size: int = 256,
        *,
        num_layers: int = 1,
        cell: Cell = "lstm",
        dropout: float = 0.0,
        forget_bias: float | None = None,
        tie_weights: bool = False,
        backend: Backend = "fused",
        embedding: nn.Embedding | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("vocab_size", vocab_size), ("d_model", d_model)):
            if size < 1:
                raise UserError(f"{name} must be at least 1, not {size!r}")
        if tie_weights and d_model != hidden_size:
            raise UserError(f"tie_weights needs d_model ({d_model}) and hidden_size ({hidden_size}) to be equal")
        self.dropout = dropout
        self.embedding = nn.Embedding(vocab_size, d_model) if embedding is None else embedding
        self.layers = Recurrent(
            d_model,
            hidden_size,
            cell=cell,
            num_layers=num_layers,
            dropout=dropout,
            forget_bias=forget_bias,
            backend=backend,
        )
        self.head = nn.Linear(hidden_size, vocab_size) if head is None else head
        if tie_weights and head is None:
            nn.init.normal_(self.embedding.weight, std=d_model**-0.5)  # a head's scale; torch's N(0, 1) is too wide
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
        """The part of a row's ids that the net looks at: all of them."""
        return ids

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
        """Reads prompts (B, T), padded on the right, of true lengths (B,).

        Returns:
            Logits (B, V) after each row's last true token, and the state to :meth:`advance` from.
        """
        hidden, state = self.run(input_ids, lengths)
        last = hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return self.head(last), state

    def decode_step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Reads one more token of each row, (B,). Returns logits (B, V) and the state after it."""
        hidden, state = self.run(ids.unsqueeze(1), None, state)
        return self.head(hidden.squeeze(1)), state
