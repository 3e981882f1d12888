"""Pairs of texts as rows of token ids. N pairs, B of a batch, S and T tokens of its longest source and target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.buckets import even_order
from datamodules.loading.progress import progress_bar
from datamodules.tokenizers import SideTokenizer
from seqlight.core.errors import UserError
from seqlight.core.labels import BOS, EOS, IGNORED, PAD

CHUNK = 10_000  # texts encoded at a time: an array for each of a million would take more memory than the ids


class IdRows:
    """Rows of ids of different lengths in one array, which worker processes share.

    Args:
        ids: The ids of all rows, one row after the other.
        lengths: Length of each row (N,).
    """

    def __init__(self, ids: np.ndarray, lengths: np.ndarray) -> None:
        self.ids, self.lengths = ids, lengths
        self._starts = np.cumsum(lengths) - lengths

    @classmethod
    def encode(cls, tokenizer: SideTokenizer, texts: Sequence[str], what: str) -> "IdRows":
        """The ids of some texts, with a progress bar.

        Args:
            tokenizer: Text to ids.
            texts: The texts.
            what: What the texts are, for the bar.
        """
        dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.int32
        chunks, lengths = [np.zeros(0, dtype=dtype)], [np.zeros(0, dtype=np.int64)]
        with progress_bar(len(texts), f"encoding {what}", "text") as bar:
            for first in range(0, len(texts), CHUNK):
                rows = [tokenizer.encode_array(text) for text in texts[first : first + CHUNK]]
                chunks.append(np.concatenate(rows).astype(dtype))
                lengths.append(np.array([len(row) for row in rows], dtype=np.int64))
                bar.update(len(rows))
        return cls(np.concatenate(chunks), np.concatenate(lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.ids[self._starts[row] : self._starts[row] + self.lengths[row]]

    def take(self, rows: np.ndarray) -> "IdRows":
        """The given rows, in that order."""
        parts = [self.ids[:0], *(self[row] for row in rows)]
        return IdRows(np.concatenate(parts), self.lengths[rows])


def pad_pairs(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray] | None, index: np.ndarray) -> Batch:
    """A batch of pairs, padded on the right.

    Args:
        sources: Ids of each source, without beginning and end.
        targets: Ids of each target. None: they are not known.
        index: Number of each row (B,).

    Returns:
        ``source_ids`` (B, S), which end in ``</s>``; ``source_mask`` (B, S), true at tokens; and ``index`` (B,). With
        targets also ``target_ids`` (B, T), which begin with ``<s>``, and ``labels`` (B, T), ``target_ids`` shifted left
        by one, which end in ``</s>`` and are -100 at padding.
    """
    ends = [np.append(ids, EOS) for ids in sources]
    source_ids, source_mask = _padded(ends, PAD)
    batch = {"source_ids": source_ids, "source_mask": source_mask}
    if targets is not None:
        batch["target_ids"] = _padded([np.concatenate([[BOS], ids]) for ids in targets], PAD)[0]
        batch["labels"] = _padded([np.append(ids, EOS) for ids in targets], IGNORED)[0]
    return batch | {"index": torch.from_numpy(index.astype(np.int64))}


def _padded(rows: Sequence[np.ndarray], filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, filler, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


@dataclass(frozen=True)
class RowOrigin:
    """Where rows come from, for messages.

    Attributes:
        where: A file, or what else they were given by.
        lines: Line, or number, of each row there (N,).
        remedy: What to do about a row that is longer than the net reads.
        unit: What the lines are.
    """

    where: str
    lines: np.ndarray
    remedy: str
    unit: str = "line"


class PairRows(BatchDataset):
    """Pairs in a fixed order, in which batches have rows of similar length unless ``batch_rows`` is 1.

    Args:
        sources: The sources' ids.
        targets: The targets' ids. Default: they are not known.
        texts: The sources themselves. If given, each batch has them as ``sources``.
        references: The targets themselves. If given, each batch has them as ``references``.
        batch_rows: Rows of a global batch, on which the order depends.
        origin: Where they come from.

    Attributes:
        lengths: Tokens of each source and target, with one for its end (N, 2), or (N, 1) without targets.
    """

    def __init__(
        self,
        sources: IdRows,
        targets: IdRows | None = None,
        texts: Sequence[str] | None = None,
        references: Sequence[str] | None = None,
        batch_rows: int = 1,
        origin: RowOrigin | None = None,
    ) -> None:
        self.sources, self.targets, self.texts, self.references = sources, targets, texts, references
        self.origin = origin
        sides = [sources] if targets is None else [sources, targets]
        self.lengths = np.stack([side.lengths for side in sides], axis=1) + 1
        size = len(sources)
        self._order = even_order(self.lengths.max(axis=1), batch_rows) if batch_rows > 1 else np.arange(size)

    def __len__(self) -> int:
        return len(self.sources)

    def check_longest(self, longest: int) -> None:
        """Refuses rows that are longer than a net reads.

        Args:
            longest: Most tokens of a sequence that the net reads, its end included.

        Raises:
            UserError: A row is longer; the message names its line.
        """
        too_long = np.flatnonzero((self.lengths > longest).any(axis=1))
        if len(too_long) and (origin := self.origin) is not None:
            row, more = too_long[0], len(too_long) - 1
            raise UserError(
                f"{origin.where}: {origin.unit} {origin.lines[row]} has {self.lengths[row].max():,} tokens"
                f"{f' ({more:,} more are too long)' if more else ''}, and the net reads {longest:,} at most "
                f"(net.max_seq_len); {origin.remedy}"
            )

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch of the rows at ``indices``: see :func:`pad_pairs`; with ``sources`` and ``references`` as texts."""
        rows = self._order[np.asarray(indices, dtype=np.int64)]
        targets = None if self.targets is None else [self.targets[row] for row in rows]
        batch = pad_pairs([self.sources[row] for row in rows], targets, rows)
        for name, texts in (("sources", self.texts), ("references", self.references)):
            if texts is not None:
                batch[name] = [texts[row] for row in rows]
        return batch
