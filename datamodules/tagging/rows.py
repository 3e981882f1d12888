"""Tagged sentences as a data set whose batches hold sentences of similar length."""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.buckets import even_order
from datamodules.tokenizers import TaggingTokenizer
from datamodules.tokenizers.tagging import padded
from seqlight.core.labels import IGNORED


class SentenceRows(BatchDataset):
    """Sentences in a fixed order, in which batches have sentences of as many tokens unless ``batch_rows`` is 1.

    Args:
        sentences: The words of each.
        labels: The number of each word's label. None: they are not known, and batches have none.
        tokenizer: Words to ids.
        batch_rows: Sentences of a global batch, on which the order depends.
        with_words: Whether a batch has the words themselves.
    """

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        labels: Sequence[Sequence[int]] | None,
        tokenizer: TaggingTokenizer,
        batch_rows: int = 1,
        with_words: bool = False,
    ) -> None:
        self.sentences, self.labels, self.tokenizer, self.with_words = sentences, labels, tokenizer, with_words
        self.lengths = np.array([tokenizer.num_tokens(sentence) for sentence in sentences], dtype=np.int64)
        self._order = even_order(self.lengths, batch_rows) if batch_rows > 1 else np.arange(len(sentences))

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A whole batch: see :meth:`batch`."""
        return self.batch(self._order[np.asarray(indices, dtype=np.int64)])

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of some sentences: what :meth:`TaggingTokenizer.batch` gives, with their numbers.

        ``index`` (B,); with labels also ``labels`` (B, T), -100 at padding; ``words``, a list each, where wanted.
        """
        sentences = [self.sentences[row] for row in rows]
        made: Batch = {**self.tokenizer.batch(sentences), "index": torch.from_numpy(rows.astype(np.int64))}
        if self.labels is not None:
            made["labels"] = padded([self.labels[row] for row in rows], IGNORED)[0]
        return {**made, "words": sentences} if self.with_words else made
