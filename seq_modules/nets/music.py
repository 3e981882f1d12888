"""Events of several fields, such as a note's pitch and its duration: how a net reads them and predicts the next.

Through the nets an event goes as one whole number whose digits are its fields (:func:`pack`), so that they, their
caches and their windows handle events as they handle tokens. What an event is made of, only the embedding and the heads
know. They take the place of the token embedding and the head of :class:`seq_modules.nets.gpt.GPT` and
:class:`seq_modules.nets.rnn_lm.RNNNet`.

B batch, T time, F fields, V_f vocabulary of field f, D width.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.rnn import check_choice

Heads = Literal["chained", "independent"]


class EventEmbedding(nn.Embedding):
    """Sum of the embeddings of an event's fields; the fields' tables lie one below the other.

    Args:
        vocab_sizes: Ids of each field, V_f.
        d_model: Width D.

    Raises:
        ValueError: There is no field, one has no ids, or there are more different events than whole numbers.
    """

    def __init__(self, vocab_sizes: Sequence[int], d_model: int) -> None:
        if not vocab_sizes or min(vocab_sizes) < 1:
            raise ValueError(f"vocab_sizes must be one number of at least 1 for each field, not {list(vocab_sizes)}")
        if math.prod(vocab_sizes) >= 2**62:
            raise ValueError(f"vocab_sizes {list(vocab_sizes)} make more different events than whole numbers can name")
        super().__init__(sum(vocab_sizes), d_model)
        sizes = torch.tensor(list(vocab_sizes))
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)  # where each field's table begins
        values = [math.prod(vocab_sizes[field + 1 :]) for field in range(len(vocab_sizes))]
        self.register_buffer("values", torch.tensor(values), persistent=False)  # what 1 in each field counts for
        self.sizes: Tensor
        self.offsets: Tensor
        self.values: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """(..., D) of packed events (...)."""
        return self.of(input.unsqueeze(-1) // self.values % self.sizes)

    def of(self, fields: Tensor) -> Tensor:
        """(..., D) of the first fields, or all, of events: (..., 1 to F)."""
        return F.embedding(fields + self.offsets[: fields.shape[-1]], self.weight).sum(-2)


class EventHeads(nn.Module):
    """The next event's distribution, field by field, from what a net knows of the events before it.

    "independent": each field has a linear layer of its own, and all are drawn as if unrelated (Foster, "Generative Deep
    Learning", 2023, chapter 11). "chained": field f also sees the fields before it of the same event, so that the
    product of the distributions is that of whole events: x + gelu(A_f·[x; e]) takes the place of the net's output x, e
    being those fields' embedding.

    Args:
        vocab_sizes: V_f of each field.
        width: Width of the net's output, D.
        heads: Which of the two.

    Attributes:
        vocab_sizes: As given.
    """

    def __init__(self, vocab_sizes: Sequence[int], width: int, heads: Heads = "chained") -> None:
        super().__init__()
        check_choice("heads", heads, Heads)
        self.vocab_sizes = list(vocab_sizes)
        self.outputs = nn.ModuleList(nn.Linear(width, size) for size in vocab_sizes)
        chained = heads == "chained" and len(vocab_sizes) > 1
        self.earlier = EventEmbedding(vocab_sizes[:-1], width) if chained else None
        self.mixes = nn.ModuleList(nn.Linear(2 * width, width) for _ in vocab_sizes[1:]) if chained else None

    def forward(self, x: Tensor, events: Tensor | None = None) -> list[Tensor]:
        """Logits of every field, (..., V_f) each, at least float32.

        Args:
            x: The net's output, (..., D).
            events: The events that are predicted, (..., F), whose fields chained heads are told. Without them each
                field is told the likeliest of the fields before it.
        """
        logits: list[Tensor] = []
        chosen: list[Tensor] = []
        for field in range(len(self.vocab_sizes)):
            logits.append(self.field(x, chosen))
            chosen.append(logits[-1].argmax(-1) if events is None else events[..., field])
        return logits

    def field(self, x: Tensor, chosen: list[Tensor]) -> Tensor:
        """Logits (..., V_f) of field f from the net's output (..., D) and the f fields before it, (...) each."""
        at = len(chosen)
        if chosen and self.earlier is not None and self.mixes is not None:
            told = self.earlier.of(torch.stack(chosen, dim=-1)).to(x.dtype)
            x = x + F.gelu(self.mixes[at - 1](torch.cat([x, told], dim=-1)))  # (..., 2·D) -> (..., D)
        z = self.outputs[at](x)
        return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z

    def pack(self, events: Tensor) -> Tensor:
        """:func:`pack` with these fields."""
        return pack(events, self.vocab_sizes)


def pack(events: Tensor, vocab_sizes: Sequence[int]) -> Tensor:
    """Events (..., F) as one whole number each, (...): ((id_0·V_1 + id_1)·V_2 + id_2) and so on."""
    packed = events[..., 0]
    for field, size in enumerate(vocab_sizes[1:], 1):
        packed = packed * size + events[..., field]
    return packed
