"""Texts longer than an encoder's positions: it reads overlapping chunks, whose states are put together again.

Each chunk is a text of its own, between the whole text's [CLS] and [SEP]. A token in the overlap of two chunks has the
mean of its two states, and so have [CLS] and [SEP], which are in all chunks (Sun et al. 2019, section 5.3.1, pool the
chunks' vectors; Pappagari et al. 2019 let a recurrent net read them).

B batch, T time, C chunks of the longest text, S tokens of a chunk, D width.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class ChunkConfig:
    """How a long text is cut.

    Attributes:
        size: Tokens of a chunk with [CLS] and [SEP], S, at least 3; by default texts are not cut.
        overlap: Tokens that two neighbours share, at least 0 and below size - 2.

    Raises:
        UserError: A value is out of its range.
    """

    size: int | None = None
    overlap: int = 16

    def __post_init__(self) -> None:
        check_range("net.chunks.size", self.size, least=3)
        check_range("net.chunks.overlap", self.overlap, least=0)
        if self.size is not None and self.overlap >= self.size - 2:
            raise UserError(
                f"net.chunks.overlap {self.overlap} leaves nothing new in a chunk of {self.size} tokens, two of them "
                f"[CLS] and [SEP]; give less than {self.size - 2}"
            )


def chunk_places(mask: Tensor, size: int, overlap: int) -> tuple[Tensor, Tensor]:
    """Where the tokens of each chunk stand in the text.

    Args:
        mask: True at the tokens of a text, (B, T), padded on the right.
        size: S.
        overlap: Tokens that two neighbours share.

    Returns:
        Places (B, C, S) in 0 to T - 1, and a mask (B, C, S), true at a chunk's tokens. Of a chunk that a text does not
        have only the first token is marked, so that an encoder has something to read.
    """
    step = size - 2 - overlap
    last = mask.sum(1)[:, None, None] - 1  # (B, 1, 1): where [SEP] stands
    count = 1 + max(0, -(-(mask.shape[1] - size) // step))
    starts = step * torch.arange(count, device=mask.device)[:, None]  # (C, 1)
    inside = torch.arange(size, device=mask.device)  # (S,)
    places = (starts + inside).expand(len(mask), -1, -1).clone()
    places[..., 0] = 0
    # What the chunk before it has reached: if that is the last word, the text has no such chunk.
    exists = (starts == 0) | (starts - step + size - 2 < last - 1)
    here = exists & (starts + inside <= last)
    places[..., -1:] = last  # a full chunk has [SEP] in its last place
    return places.minimum(last).clamp(min=0), here | (inside == 0)


def chunked_states(
    read: Callable[[Tensor, Tensor], Tensor], input_ids: Tensor, mask: Tensor, config: ChunkConfig
) -> Tensor:
    """The tokens' states, (B, T, D), 0 at padding, of an encoder that reads no more than a chunk at once.

    Args:
        read: States (N, S, D) of ids (N, S) and their mask.
        input_ids: Ids (B, T) with [CLS] and [SEP].
        mask: (B, T), true at the texts' tokens.
        config: How texts are cut; with a size.
    """
    assert config.size is not None
    places, here = chunk_places(mask, config.size, config.overlap)
    rows = torch.arange(len(mask), device=mask.device)[:, None, None].expand_as(places)
    states = read(input_ids[rows, places].flatten(0, 1), here.flatten(0, 1)).unflatten(0, places.shape[:2])
    words = here.clone()
    words[:, 1:, 0] &= here[:, 1:, 1]  # not the first token of a chunk that a text does not have
    weight = words.unsqueeze(-1).to(states.dtype)
    total = states.new_zeros(*mask.shape, states.shape[-1]).index_put((rows, places), states * weight, accumulate=True)
    count = states.new_zeros(*mask.shape, 1).index_put((rows, places), weight, accumulate=True)
    return total / count.clamp(min=1)
