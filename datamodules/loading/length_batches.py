"""Batches of rows of similar length, by number of rows or by number of tokens, so that little of a batch is padding.

As in batches.py, the batches of an epoch depend on the seed and the epoch alone, ranks share a global batch row by row,
and training resumes at any batch. W is the number of ranks, B the number of batches in an epoch.
"""

import math
from collections.abc import Iterator

import numpy as np

from datamodules.loading.batches import Batches
from datamodules.loading.counter_rng import random_uint64
from seqlight.core.errors import UserError

MULTIPLE = 8  # rows of a batch by tokens are a multiple of this, so that 1, 2, 4 or 8 ranks share the same batches


class LengthBatches(Batches):
    """Row numbers of each training batch of one rank, sorted by length.

    The rows are sorted by their longest sequence, rows of the same lengths in random order, and cut into batches; the
    batches of an epoch are shuffled. The numbers of rows are the same in each epoch, which rows they are is not. With
    ``batch_tokens``, a batch of a rank has at most so many tokens in each of its sequences, padding included. Two
    processes with a bound of N tokens train on the same rows as one with 2N.

    Every row comes once an epoch. Only if a batch holds less than two rows a rank can a rest of fewer rows than ranks
    be left out.

    Args:
        lengths: Tokens of each row (N,), or of each of its K sequences (N, K), such as source and target.
        seed: Seed of the order.
        batch_size: Rows in a batch of one rank. Not used if ``batch_tokens`` is given.
        batch_tokens: Most tokens of a batch of one rank, in the sequence that has the most.
        num_replicas: Number of ranks.
        rank: Number of this rank.

    Raises:
        UserError: A row is longer than ``batch_tokens``.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        *,
        seed: int,
        batch_size: int,
        batch_tokens: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.seed, self.num_replicas, self.rank = seed, num_replicas, rank
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        by_sequence = lengths.reshape(len(lengths), -1).astype(np.int64)
        longest, tokens = by_sequence.max(axis=1), by_sequence.sum(axis=1)
        if batch_tokens is not None and len(longest) and longest.max() > batch_tokens:
            raise UserError(
                f"batch_tokens {batch_tokens} is less than the {longest.max()} tokens of the longest row; give more, "
                "or leave out long rows"
            )
        self._keys = -(longest * (tokens.max(initial=0) + 1) + tokens)  # the longest first, then those with most tokens
        self.sizes = self._cut(-np.sort(-longest))
        self._starts = np.cumsum(self.sizes) - self.sizes  # (B,)

    def _rows_of(self, longest: int) -> int:
        """Rows of a global batch whose longest row has so many tokens."""
        ranks = self.num_replicas
        if self.batch_tokens is None:
            return self.batch_size * ranks
        fit, multiple = self.batch_tokens * ranks // longest, math.lcm(MULTIPLE, ranks)
        if fit >= multiple:
            return fit // multiple * multiple
        return ranks * 2 ** int(math.log2(fit // ranks))

    def _cut(self, longest: np.ndarray) -> np.ndarray:
        """Rows of each global batch (B,), from the lengths in falling order (N,)."""
        sizes: list[int] = []
        at = 0
        while at < len(longest):
            sizes.append(min(self._rows_of(int(longest[at])), len(longest) - at))
            at += sizes[-1]
        for least in (math.lcm(MULTIPLE, self.num_replicas), self.num_replicas):
            # The last batch must have a row for each rank; the batch before gives some of its shortest rows.
            if len(sizes) > 1 and sizes[-1] < least and sizes[-2] >= 2 * least:
                sizes[-2] -= least - sizes[-1]
                sizes[-1] = least
        return np.array([size for size in sizes if size >= self.num_replicas], dtype=np.int64)

    def _batch_order(self, epoch: int) -> np.ndarray:
        return np.argsort(random_uint64(self.seed, np.array([2 * epoch + 1]), len(self.sizes))[0], kind="stable")

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        ties = random_uint64(self.seed, np.array([2 * self.epoch]), len(self._keys))[0]
        rows = np.lexsort((ties, self._keys))
        for batch in self._batch_order(self.epoch)[self.start :]:
            first = self._starts[batch]
            yield rows[first + self.rank : first + self.sizes[batch] : self.num_replicas].tolist()

    def rows_before(self, epoch: int, batch: int) -> int:
        """See :class:`Batches`."""
        return int(self.sizes[self._batch_order(epoch)[:batch]].sum())

    def batch_after(self, epoch: int, rows: int) -> int:
        """See :class:`Batches`."""
        return int(np.searchsorted(np.cumsum(self.sizes[self._batch_order(epoch)]), rows, side="right"))
