"""Base of the datamodules of pairs: a text to read and a text to write."""

from collections.abc import Sequence

import numpy as np

from datamodules.base import SequenceDataModule
from datamodules.seq2seq.pairs import IdRows, PairRows, RowOrigin
from datamodules.tokenizers import TokenizerPair
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import refuse_both

LONG_TEXT = "split it into sentences"  # what helps where a text is longer than the net reads


class Seq2SeqDataModule(SequenceDataModule):
    """Base of the datamodules of pairs.

    A subclass defines :attr:`tokenizer`, assigns its sets in ``setup``, and calls ``save_hyperparameters``. A batch is
    what :func:`datamodules.seq2seq.pairs.pad_pairs` returns; in validation, test and predict it also has the texts
    themselves, ``sources`` and, where they are known, ``references``.

    Args:
        batch_size: Pairs in a batch of one process.
        texts: Texts for predict. Default: a few examples.
        texts_path: File of the texts in their place, one a line. Each line gives one row, an empty line too.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training data. Default: the run's seed (--seed_everything).

    Raises:
        UserError: A value is out of its range, or both texts and texts_path are given.
    """

    EXAMPLES: Sequence[str] = ()

    def __init__(
        self,
        batch_size: int = 64,
        texts: list[str] | None = None,
        texts_path: str | None = None,
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        refuse_both("texts_path", texts_path, "texts", texts)
        if texts is not None and not texts:
            raise UserError("texts is empty; give at least one text")
        self.texts, self.texts_path = texts, texts_path

    @property
    def examples(self) -> Sequence[str]:
        """Texts for predict where none are given."""
        return self.EXAMPLES

    @property
    def tokenizer(self) -> TokenizerPair:
        """The tokenizers of source and target."""
        raise NotImplementedError

    @property
    def source_vocab_size(self) -> int:
        """Number of the source's ids."""
        return self.tokenizer.source_vocab_size

    @property
    def vocab_size(self) -> int:
        """Number of the target's ids."""
        return self.tokenizer.vocab_size

    @property
    def _batch_rows(self) -> int:
        return self.batch_size * self._ranks().get("num_replicas", 1)

    def pair_rows(
        self, sources: Sequence[str], targets: Sequence[str] | None, what: str, origin: RowOrigin | None = None
    ) -> PairRows:
        """Pairs to evaluate, with their texts, in batches of similar length.

        Args:
            sources: Texts to read.
            targets: Texts to write. None: they are not known.
            what: What they are, for the progress bar.
            origin: Where they come from.
        """
        tokenizer = self.tokenizer
        ids = IdRows.encode(tokenizer.source, sources, f"{what} sources")
        target_ids = None if targets is None else IdRows.encode(tokenizer.target, targets, f"{what} targets")
        return PairRows(ids, target_ids, sources, targets, self._batch_rows, origin)

    def setup(self, stage: str) -> None:
        """Lightning calls this before each stage; for predict it needs no data but the texts."""
        super().setup(stage)
        if stage == "predict":
            texts = read_lines(self.texts_path) if self.texts_path is not None else self.texts or list(self.examples)
            lines, where = np.arange(1, len(texts) + 1), f"texts_path {self.texts_path}" if self.texts_path else "texts"
            origin = RowOrigin(where, lines, LONG_TEXT, "line" if self.texts_path else "number")
            self.predict_set = self.pair_rows(texts, None, "predict", origin)

    def check_longest(self, stage: str, longest: int) -> None:
        """Refuses pairs of a stage that are longer than the net reads.

        Args:
            stage: fit, validate, test or predict, whose ``setup`` was called.
            longest: Most tokens of a sequence that the net reads, its end included.

        Raises:
            UserError: One is longer; the message names its file and line.
        """
        for rows in {"fit": (self.train_set, self.val_set), "validate": (self.val_set,), "test": (self.test_set,)}.get(
            stage, (self.predict_set,)
        ):
            if isinstance(rows, PairRows):
                rows.check_longest(longest)


def read_lines(path: str) -> list[str]:
    """The texts of a file, one a line, empty ones included.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is empty, or not UTF-8.
    """
    file = expanded(path)
    if not file.is_file():
        raise FileNotFoundError(f"texts_path {path}: no such file; give a file with one text a line")
    try:
        content = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"texts_path {path}: line {line} is not UTF-8; save it as UTF-8") from error
    if not content:
        raise UserError(f"texts_path {path}: the file is empty; give a file with one text a line")
    return [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")]
