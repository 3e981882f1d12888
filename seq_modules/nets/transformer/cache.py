"""KV cache: keys and values of the tokens so far, so that a new token costs one step and not the whole window again.

L layers, B rows, H heads, S slots (the longest context), U slots in use, T tokens at once, K head size.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.transformer.positions import alibi_bias, causal_alibi

# Rows from which on two written-out products are quicker than torch's kernel for one query a row: with 128 keys, six
# layers took 0.08 ms by the kernel and 0.13 by products for one row, 2.6 and 1.9 for 32 (two cores, fp32).
MANY_ROWS = 8


class KVCache:
    """Preallocated keys and values, and the ids they stand for. Rows have different lengths and grow in place.

    First :meth:`fill` rows from their beginnings and run the blocks with :meth:`attend_filled`. Then :meth:`append` one
    token or a few to every row and run the blocks with :meth:`attend_appended`. While all rows are equally long, a
    single token needs no mask: keys and values are views of the cache. :meth:`reorder` is for beam search,
    :meth:`crop` for speculative decoding.

    Args:
        num_layers: L.
        batch: B.
        slots: S.
        device: Where keys, values and ids live.
        slopes: ALiBi's, (H,), whose bias is added to the scores; None adds nothing.

    Attributes:
        ids: The tokens, (B, S).
        lengths: Used slots of each row.
    """

    def __init__(
        self, num_layers: int, batch: int, slots: int, device: torch.device, slopes: Tensor | None = None
    ) -> None:
        self.num_layers, self.slots, self.device, self.slopes = num_layers, slots, device, slopes
        self.ids = torch.zeros(batch, slots, dtype=torch.long, device=device)
        self.lengths = [0] * batch
        self.keys: Tensor | None = None  # (L, B, H, S, K), as `values`; made when the first keys show their precision
        self.values: Tensor | None = None
        self._spare: tuple[Tensor, Tensor] | None = None  # where `reorder` puts the keys and values of other rows
        self._eager = device.type == "cpu" and batch >= MANY_ROWS
        self._rows: Tensor | None = None  # the rows being filled; None: all
        self._positions: Tensor | None = None  # (B, T) slots being written, where they differ
        self._mask: Tensor | None = None  # added to the scores, (B or 1, H or 1, T, U): minus infinity at later slots
        self._views: list[tuple[Tensor, ...]] = []  # of each layer: key slots, value slots, keys so far, values so far

    def fill(self, ids: Tensor, lengths: list[int], rows: Tensor | None = None) -> None:
        """Empties rows and gives them new tokens.

        Args:
            ids: (R, T), padded on the right.
            lengths: Each row's true tokens, R numbers of at most T.
            rows: Which rows, (R,); None: all.
        """
        self._rows = rows
        indices = range(len(self.lengths)) if rows is None else rows.tolist()
        self.ids[:, : ids.shape[1]].index_copy_(0, torch.tensor(list(indices), device=self.device), ids)
        for row, length in zip(indices, lengths, strict=True):
            self.lengths[row] = length

    def attend_filled(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Stores the filled rows' keys and values and attends causally, (R, H, T, K) each.

        Slots behind a row's true tokens hold what its padding gave; they are masked until a token is written there.
        """
        keys, values = self._storage(k)
        steps = k.shape[2]
        for store, new in ((keys[layer], k), (values[layer], v)):
            if self._rows is None:
                store[:, :, :steps] = new
            else:
                store[:, :, :steps].index_copy_(0, self._rows, new)
        if self.slopes is not None:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=causal_alibi(self.slopes, steps, q.dtype))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def append(self, ids: Tensor, counts: Sequence[int]) -> slice | Tensor:
        """Gives every row more tokens, no more than its free slots.

        Args:
            ids: (B, T). A row with fewer than T tokens has its last one again at the other positions; these stand for
                the same token, at the same position.
            counts: How many tokens each row gets, B numbers from 1 to T.

        Returns:
            The tokens' positions: a slice where they are those of all rows, else (B, T).
        """
        steps, before = ids.shape[1], self.lengths
        self.lengths = [length + count for length, count in zip(before, counts, strict=True)]
        longest = max(self.lengths)
        self._make_views(longest, steps)
        if min(before) == longest - steps and min(counts) == steps:
            positions = slice(longest - steps, longest)
            self.ids[:, positions] = ids
            self._positions = self._mask = None
            if steps > 1 or self.slopes is not None:
                self._mask = self._make_mask(
                    torch.arange(positions.start, positions.stop, device=self.device)[None], longest
                )
            return positions
        offsets = [[min(step, count - 1) for step in range(steps)] for count in counts]
        self._positions = torch.tensor(before, device=self.device)[:, None] + torch.tensor(offsets, device=self.device)
        self.ids.scatter_(1, self._positions, ids)
        self._mask = self._make_mask(self._positions, longest)
        return self._positions

    def attend_appended(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Stores each row's newest keys and values and attends to all before each, (B, H, T, K) each."""
        key_slots, value_slots, keys, values = self._views[layer]
        if self._positions is None:
            key_slots.copy_(k)
            value_slots.copy_(v)
        else:
            positions = self._positions[:, None, :, None].expand_as(k)
            keys.scatter_(2, positions, k)
            values.scatter_(2, positions, v)
        if self._mask is not None:
            return F.scaled_dot_product_attention(q, keys, values, attn_mask=self._mask.to(q.dtype))
        if self._eager:
            return (q / math.sqrt(q.shape[3]) @ keys.mT).softmax(-1) @ values
        return F.scaled_dot_product_attention(q, keys, values)

    def crop(self, counts: Sequence[int]) -> None:
        """Forgets the last tokens of each row, of those that the last :meth:`append` gave it, B numbers from 0 on."""
        self.lengths = [length - count for length, count in zip(self.lengths, counts, strict=True)]

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was, (B',); a row may be taken several times, and B' may differ from B."""
        assert self.keys is not None
        assert self.values is not None
        taken = rows.tolist()
        if taken == list(range(len(self.lengths))):
            return
        self.lengths = [self.lengths[row] for row in taken]
        self.ids = self.ids.index_select(0, rows)
        used, old, shape = max(self.lengths), (self.keys, self.values), list(self.keys.shape)
        shape[1] = len(self.lengths)
        new = self._spare
        if new is None or list(new[0].shape) != shape:
            new = old[0].new_zeros(shape), old[1].new_zeros(shape)
        for store, target in zip(old, new, strict=True):
            torch.index_select(store[:, :, :, :used], 1, rows, out=target[:, :, :, :used])
        (self.keys, self.values), self._spare = new, old
        self._eager = self.device.type == "cpu" and len(self.lengths) >= MANY_ROWS

    def _make_mask(self, positions: Tensor, longest: int) -> Tensor:
        """What is added to the scores of queries at positions (B or 1, T): (B or 1, H or 1, T, U), ALiBi included."""
        slots = torch.arange(longest, device=self.device)
        later = (slots > positions[:, :, None])[:, None]  # (B, 1, T, U)
        mask = torch.zeros(later.shape, device=self.device).masked_fill_(later, -math.inf)
        return mask if self.slopes is None else mask + alibi_bias(self.slopes, positions, slots)

    def _storage(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.keys is None or self.values is None:
            _, heads, _, size = like.shape
            shape = (self.num_layers, len(self.lengths), heads, self.slots, size)
            self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        return self.keys, self.values

    def _make_views(self, longest: int, steps: int) -> None:
        """Makes all layers' views for one step at once, which is quicker than slicing layer by layer."""
        assert self.keys is not None
        assert self.values is not None
        first = max(0, longest - steps)
        self._views = list(
            zip(
                self.keys.narrow(3, first, longest - first).unbind(),
                self.values.narrow(3, first, longest - first).unbind(),
                self.keys.narrow(3, 0, longest).unbind(),
                self.values.narrow(3, 0, longest).unbind(),
                strict=True,
            )
        )
