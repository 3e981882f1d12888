"""Embeddings of the last few tokens, looked up in tables by a hash.

B batch, T time, D width, N orders, E width of an n-gram's embedding.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.transformer.block import drop, random_bytes
from seqlight.core.errors import UserError

FACTOR, BITS = 1000003, (1 << 31) - 1  # 31 bits times 31 bits stay inside 64 signed bits
GOLDEN = 0x9E3779B1  # 2³² over the golden ratio: its multiples lie far apart


def ngram_hashes(input_ids: Tensor, orders: Sequence[int], buckets: int, salt: int = 0) -> Tensor:
    """The bucket of the n-gram that ends at each token, (B, T, N), for ids (B, T).

    Bucket 0 stands for "fewer than n tokens so far"; n-grams share the others, 1 to ``buckets`` - 1, by
    h = (1000003·h + id + 1) mod 2³¹ from the last token back, h = s·h mod 2³¹, and (h xor h/2¹⁷) mod (buckets - 1) + 1.
    The odd number s follows from the salt (1 for 0): those that share a bucket under one salt seldom do under another.
    """
    stir = 2 * salt * GOLDEN + 1 & BITS
    steps, longest = input_ids.shape[1], max(orders)
    padded = F.pad(input_ids, (longest - 1, 0)) + 1  # (B, longest - 1 + T)
    h = torch.zeros_like(input_ids)
    found: dict[int, Tensor] = {}
    for back in range(longest):  # after n rounds h is the hash of the last n tokens
        h = (h * FACTOR + padded[:, longest - 1 - back : longest - 1 - back + steps]) & BITS
        if back + 1 in orders:
            stirred = h * stir & BITS if salt else h
            bucket = (stirred ^ (stirred >> 17)) % (buckets - 1) + 1
            bucket[:, :back] = 0
            found[back + 1] = bucket
    return torch.stack([found[order] for order in orders], dim=-1)


class NgramEmbedding(nn.Module):
    """Sum of projected embeddings of hashed n-grams (Svenstrup et al. 2017; orders side by side, as in fastText).

    Args:
        d_model: Width D of what it gives.
        orders: Lengths of the n-grams, each once and at least 1.
        buckets: Rows of each order's table, at least 2.
        dim: Width E of an n-gram's embedding.
        dropout: Share of the n-grams dropped while training, each as a whole, in steps of 1/256: n-grams are quickly
            learned by heart, and shorter ones then have to do without the longer.
        salt: Decides which n-grams share a row, at least 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, d_model: int, orders: Sequence[int], *, buckets: int, dim: int, dropout: float, salt: int = 0
    ) -> None:
        super().__init__()
        if min(orders) < 1 or len(set(orders)) < len(orders):
            raise UserError(f"ngram_orders must be different and at least 1 each, not {list(orders)}")
        if buckets < 2:
            raise UserError(f"ngram_buckets must be at least 2, not {buckets}")
        if dim < 1:
            raise UserError(f"ngram_dim must be at least 1, not {dim}")
        if not 0 <= dropout < 1:
            raise UserError(f"ngram_dropout must be at least 0 and below 1, not {dropout}")
        if salt < 0:
            raise UserError(f"hash_seed must be at least 0, not {salt}")
        self.orders, self.buckets, self.dropout, self.salt = tuple(orders), buckets, dropout, salt
        self.table = nn.Embedding(len(orders) * buckets, dim)  # the orders' tables one below the other
        self.projection = nn.Linear(len(orders) * dim, d_model, bias=False)
        self.register_buffer("offsets", torch.arange(len(orders)) * buckets, persistent=False)
        self.offsets: Tensor

    def hashes(self, input_ids: Tensor) -> Tensor:
        """:func:`ngram_hashes` with this module's orders, buckets and salt."""
        return ngram_hashes(input_ids, self.orders, self.buckets, self.salt)

    def newest(self, input_ids: Tensor, at: slice | Tensor) -> Tensor:
        """The buckets (B, 1, N) of one step alone.

        Args:
            input_ids: (B, S), used up to that step and perhaps longer.
            at: The step: a slice of length 1 for all rows, or (B, 1).
        """
        if isinstance(at, slice):
            return self.hashes(input_ids[:, max(0, at.stop - max(self.orders)) : at.stop])[:, -1:]
        hashes = self.hashes(input_ids[:, : int(at.max()) + 1])  # (B, T, N)
        return hashes.gather(1, at[:, :, None].expand(-1, -1, hashes.shape[2]))

    def forward(self, hashes: Tensor) -> Tensor:
        """(B, T, D) of buckets (B, T, N)."""
        grams = self.table(hashes + self.offsets)  # (B, T, N, E)
        if self.training and self.dropout:
            noise = random_bytes(*hashes.shape, device=grams.device)
            grams = drop(grams, noise.unsqueeze(-1), self.dropout)
        return self.projection(grams.flatten(-2))  # (B, T, N, E) -> (B, T, N·E) -> (B, T, D)
