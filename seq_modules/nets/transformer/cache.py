"""KV cache: keys and values of the tokens so far, so that a new token costs one step and not the whole window again.

L layers, B rows, H heads, S slots (the longest context), T tokens at once, K head size.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.transformer.positions import alibi_bias, causal_alibi

# Rows from which on two written-out products are quicker than torch's kernel for one query a row: with 128 keys, six
# layers took 0.08 ms by the kernel and 0.13 by products for one row, 2.6 and 1.9 for 32 (two cores, fp32).
MANY_ROWS = 8


class KVCache:
    """Preallocated keys and values, and the ids they stand for. Rows have different lengths and grow in place.

    First :meth:`fill` rows from their beginnings and run the blocks with :meth:`attend_filled`. Then, token by token,
    :meth:`append` to every row and run the blocks with :meth:`attend_appended`. While all rows are equally long, no
    mask is needed: keys and values are views of the cache. :meth:`reorder` is for beam search.

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
        self._at: Tensor | None = None  # (B,) slots being written, where they differ
        self._mask: Tensor | None = None  # added to the scores, (B or 1, H or 1, 1, T): minus infinity at unused slots
        self._views: list[tuple[Tensor, ...]] = []  # of each layer: key slot, value slot, keys so far, values so far

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

    def append(self, ids: Tensor) -> slice | Tensor:
        """Gives every row, none of them full, one more token.

        Args:
            ids: (B,).

        Returns:
            The tokens' positions: a slice where they are equal, else (B, 1).
        """
        lengths, self.lengths = self.lengths, [length + 1 for length in self.lengths]
        longest = max(self.lengths)
        if min(self.lengths) == longest:
            self.ids[:, longest - 1] = ids
            self._at = self._mask = None
            self._make_views(longest)
            if self.slopes is not None:
                self._mask = self._bias(torch.tensor([longest - 1], device=self.device), longest)
            return slice(longest - 1, longest)
        self._at = torch.tensor(lengths, device=self.device)
        self.ids.scatter_(1, self._at[:, None], ids[:, None])
        unused = torch.arange(longest, device=self.device) > self._at[:, None]  # (B, T)
        self._mask = torch.zeros(unused.shape, device=self.device).masked_fill_(unused, -math.inf)[:, None, None]
        if self.slopes is not None:
            self._mask = self._mask + self._bias(self._at, longest)
        self._make_views(longest)
        return self._at[:, None]

    def attend_appended(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Stores each row's newest key and value and attends to all it has, (B, H, 1, K) each."""
        key_slot, value_slot, keys, values = self._views[layer]
        if self._at is None:
            key_slot.copy_(k)
            value_slot.copy_(v)
        else:
            at = self._at[:, None, None, None].expand_as(k)
            keys.scatter_(2, at, k)
            values.scatter_(2, at, v)
        if self._mask is not None:
            return F.scaled_dot_product_attention(q, keys, values, attn_mask=self._mask.to(q.dtype))
        if self._eager:
            return (q / math.sqrt(q.shape[3]) @ keys.mT).softmax(-1) @ values
        return F.scaled_dot_product_attention(q, keys, values)

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

    def _bias(self, at: Tensor, longest: int) -> Tensor:
        """ALiBi's bias of one query at each of the positions (B,), (B, H, 1, T)."""
        assert self.slopes is not None
        return alibi_bias(self.slopes, at[:, None], torch.arange(longest, device=self.device))

    def _storage(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.keys is None or self.values is None:
            _, heads, _, size = like.shape
            shape = (self.num_layers, len(self.lengths), heads, self.slots, size)
            self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        return self.keys, self.values

    def _make_views(self, longest: int) -> None:
        """Makes all layers' views for one step at once, which is quicker than slicing layer by layer."""
        assert self.keys is not None
        assert self.values is not None
        self._views = list(
            zip(
                self.keys.narrow(3, longest - 1, 1).unbind(),
                self.values.narrow(3, longest - 1, 1).unbind(),
                self.keys.narrow(3, 0, longest).unbind(),
                self.values.narrow(3, 0, longest).unbind(),
                strict=True,
            )
        )
