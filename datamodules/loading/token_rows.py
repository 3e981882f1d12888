"""Texts as rows of token ids with labels, batched to the longest row. B batch, T tokens of its longest row, N rows."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.buckets import Buckets, even_order


class TokenRows(BatchDataset):
    """Rows in a fixed order, in which batches have rows of similar length unless ``batch_rows`` is 1.

    Args:
        ids: Token ids of each row, at least one.
        labels: Class of each row (N,), -100 where unknown.
        aux_labels: Its class in the auxiliary set of labels (N,), -100 where there is none.
        pad_id: Id of the padding.
        index: Number of each row in predictions (N,). Default: 0 to N - 1.
        texts: The texts themselves. If given, each batch has them as ``texts``.
        batch_rows: Rows of a global batch, on which the order depends.
        probabilities: Of the classes, which training has as its target in place of the label, (N, C). If given, each
            batch has them as ``probabilities``.
    """

    def __init__(
        self,
        ids: Sequence[np.ndarray],
        labels: np.ndarray,
        aux_labels: np.ndarray,
        pad_id: int,
        index: np.ndarray | None = None,
        texts: Sequence[str] | None = None,
        batch_rows: int = 1,
        probabilities: np.ndarray | None = None,
    ) -> None:
        self.lengths = np.array([len(row) for row in ids], dtype=np.int64)
        # One array for all rows: workers share its memory, which they would copy object by object from a list.
        self._ids = np.concatenate(ids) if len(ids) else np.zeros(0, dtype=np.int32)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.labels, self.aux_labels, self.pad_id, self.texts = labels, aux_labels, pad_id, texts
        self.probabilities = probabilities
        self.index = np.arange(len(ids)) if index is None else index
        self._order = even_order(self.lengths, batch_rows) if batch_rows > 1 else np.arange(len(ids))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A whole batch: see :meth:`batch`."""
        return self.batch(self._order[np.asarray(indices, dtype=np.int64)])

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of some rows, padded on the right.

        ``input_ids`` and ``attention_mask`` (B, T), the mask 1 for tokens and 0 for padding; ``labels``,
        ``aux_labels`` and ``index`` (B,); ``probabilities`` (B, C) and a list of ``texts`` where there are any.
        """
        lengths = self.lengths[rows]
        mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
        input_ids = np.full(mask.shape, self.pad_id, dtype=np.int64)
        input_ids[mask] = np.concatenate([self._ids[self._starts[row] : self._starts[row + 1]] for row in rows])
        made: Batch = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "labels": torch.from_numpy(self.labels[rows]),
            "aux_labels": torch.from_numpy(self.aux_labels[rows]),
            "index": torch.from_numpy(self.index[rows]),
        }
        if self.probabilities is not None:
            made["probabilities"] = torch.from_numpy(self.probabilities[rows])
        return made if self.texts is None else made | {"texts": [self.texts[row] for row in rows]}


class RowsOfLengths(Protocol):
    """Rows whose lengths are known."""

    lengths: np.ndarray  # (N,)

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of some rows (B,)."""
        ...


class BucketedRows(BatchDataset):
    """Training rows, in an order of their own in each epoch: number ``epoch * N + i`` is its i-th row.

    Args:
        rows: The rows.
        seed: Seed of the orders.
        batch_rows: Rows of a global batch.
        pool_batches: Batches whose rows are sorted by length together; 1 shuffles without regard to length.
    """

    def __init__(self, rows: RowsOfLengths, seed: int, batch_rows: int, pool_batches: int) -> None:
        self.rows, self.seed = rows, seed
        self.buckets = Buckets(rows.lengths, batch_rows, pool_batches)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A whole batch, of one epoch or across the border of two."""
        epochs, at = np.divmod(np.asarray(indices, dtype=np.int64), len(self.rows))
        rows = np.zeros_like(at)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = self.buckets.order(self.seed, int(epoch))[at[here]]
        return self.rows.batch(rows)
