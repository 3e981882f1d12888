"""Events of several fields, such as a note's pitch and its duration: how a net reads them.

Through the nets an event goes as one whole number whose digits are its fields (:func:`pack`), so that they, their
caches and their windows handle events as they handle tokens. What an event is made of, only the embedding and the heads
know (nets/event_heads.py). The embedding takes the place of that of :class:`seq_modules.nets.transformer.gpt.GPT` and
:class:`seq_modules.nets.rnn.language_net.RNNNet`, which have no head then.

F fields, V_f vocabulary of field f, D width.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlight.core.errors import UserError


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
            raise UserError(f"vocab_sizes must be one number of at least 1 for each field, not {list(vocab_sizes)}")
        if math.prod(vocab_sizes) >= 2**62:
            raise UserError(f"vocab_sizes {list(vocab_sizes)} make more different events than whole numbers can name")
        super().__init__(sum(vocab_sizes), d_model)
        sizes = torch.tensor(list(vocab_sizes))
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)  # where each field's table begins
        strides = [math.prod(vocab_sizes[field + 1 :]) for field in range(len(vocab_sizes))]
        self.register_buffer("strides", torch.tensor(strides), persistent=False)  # what 1 in each field counts for
        self.sizes: Tensor
        self.offsets: Tensor
        self.strides: Tensor

    def forward(self, input: Tensor) -> Tensor:
        """(..., D) of packed events (...)."""
        return self.of(input.unsqueeze(-1) // self.strides % self.sizes)

    def of(self, fields: Tensor) -> Tensor:
        """(..., D) of the first fields, or all, of events: (..., 1 to F)."""
        return F.embedding(fields + self.offsets[: fields.shape[-1]], self.weight).sum(-2)


def pack(events: Tensor, vocab_sizes: Sequence[int]) -> Tensor:
    """Events (..., F) as one whole number each, (...): ((id_0·V_1 + id_1)·V_2 + id_2) and so on."""
    packed = events[..., 0]
    for field, size in enumerate(vocab_sizes[1:], 1):
        packed = packed * size + events[..., field]
    return packed


def unpack(packed: Tensor, vocab_sizes: Sequence[int]) -> Tensor:
    """The events (..., F) that :func:`pack` made whole numbers (...) of."""
    fields: list[Tensor] = []
    for size in reversed(vocab_sizes[1:]):
        fields.insert(0, packed % size)
        packed = packed // size
    return torch.stack([packed, *fields], dim=-1)
