"""The order of rows that puts rows of similar length into one batch, so that little of a batch is padding.

The order depends on the seed, the epoch and the size of the global batch (see batches.py): two ranks with batch size B
train on the same rows as one with 2B, each on every second row of a batch, and training can resume at any batch.
"""

from collections import OrderedDict

import numpy as np

from datamodules.loading.counter_rng import random_uint64


class Buckets:
    """The order of the rows in each epoch of training.

    The rows are shuffled and cut into pools of some batches; each pool is sorted by length and cut into batches, and
    the batches of the epoch are shuffled. Rows that do not fill a global batch come last, unsorted; they are different
    rows in each epoch.

    Args:
        lengths: Tokens of each row (N,).
        batch_rows: Rows of a global batch: the batch size times the number of ranks.
        pool_batches: Batches of a pool; 1 shuffles without regard to length.
    """

    CACHED = 2  # epochs whose order is cached: a worker may be in the next epoch already

    def __init__(self, lengths: np.ndarray, batch_rows: int, pool_batches: int) -> None:
        self.lengths, self.batch_rows, self.pool_batches = lengths, batch_rows, pool_batches
        self._orders: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """The rows 0 to N - 1 in the order of one epoch (N,)."""
        key = (seed, epoch)
        if key not in self._orders:
            while len(self._orders) >= self.CACHED:
                self._orders.popitem(last=False)
            self._orders[key] = self._order(seed, epoch)
        return self._orders[key]

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        size, batch = len(self.lengths), self.batch_rows
        batches = size // batch
        words = random_uint64(seed, np.array([epoch]), size + batches)[0]
        order = np.argsort(words[:size], kind="stable")
        if self.pool_batches > 1 and batches:
            full = batches * batch
            pools = np.arange(full) // (batch * self.pool_batches)
            by_length = np.lexsort((self.lengths[order[:full]], pools))
            shuffled = np.argsort(words[size:], kind="stable")
            order[:full] = order[by_length].reshape(batches, batch)[shuffled].ravel()
        return order


def even_order(lengths: np.ndarray, batch_rows: int, seed: int = 0) -> np.ndarray:
    """The rows to evaluate or predict in batches of similar length, each once (N,).

    All rows are sorted by length, the longest first, and the full batches are put in a fixed random order, so that a
    part of them (``--trainer.limit_val_batches``) has long rows and short ones.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = len(order) // batch_rows
    words = random_uint64(seed, np.array([0]), batches)[0]
    full = order[: batches * batch_rows].reshape(batches, batch_rows)[np.argsort(words, kind="stable")]
    return np.concatenate([full.ravel(), order[batches * batch_rows :]])
