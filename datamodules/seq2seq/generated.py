"""Pairs that are generated from their number: as many as training wants, without a file."""

from collections.abc import Callable, Sequence

import numpy as np

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.seq2seq.pairs import pad_pairs
from datamodules.tokenizers import TokenizerPair

Pair = tuple[str, str]  # source and target
MakePairs = Callable[[int, np.ndarray], list[Pair]]  # of a seed and numbers of rows


class GeneratedPairs(BatchDataset):
    """Pairs, each determined by its number and the seed.

    Args:
        make: Makes the pairs of some row numbers (B,) under a seed.
        tokenizer: Texts to ids.
        size: Rows in an epoch; any number of a row is valid.
        seed: Seed of the rows.
        with_texts: Whether a batch has the texts themselves, as ``sources`` and ``references``.
    """

    def __init__(
        self, make: MakePairs, tokenizer: TokenizerPair, size: int, seed: int, with_texts: bool = False
    ) -> None:
        self.make, self.tokenizer, self.size, self.seed, self.with_texts = make, tokenizer, size, seed, with_texts

    def __len__(self) -> int:
        return self.size

    def pairs(self, rows: Sequence[int]) -> list[Pair]:
        """The texts of some rows."""
        return self.make(self.seed, np.asarray(rows, dtype=np.int64))

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The batch of some rows: see :func:`datamodules.seq2seq.pairs.pad_pairs`."""
        sources, targets = map(list, zip(*self.pairs(rows), strict=True))
        batch = pad_pairs(
            [self.tokenizer.source.encode_array(text) for text in sources],
            [self.tokenizer.target.encode_array(text) for text in targets],
            np.asarray(rows),
        )
        return batch | {"sources": sources, "references": targets} if self.with_texts else batch
