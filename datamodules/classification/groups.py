"""Groups of arguments that the datamodules of labelled texts share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.classification.labelled_files import text_fault
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import MOST_SEED, check_choice, check_range, refuse_both

TruncationSide = Literal["head", "tail", "both"]
HEAD_FRACTION = 0.25  # of max_seq_len with "both": 128 of 512, the best of those Sun et al. (2019) tried


@dataclass(frozen=True)
class TextConfig:
    """A data set of the hub in place of files, and how tables of texts are read.

    Attributes:
        hub: Data set of the Hugging Face hub, such as stanfordnlp/imdb, or owner/name:config.
        revision: Its branch, tag or commit. ``refs/convert/parquet`` serves old data sets that were scripts.
        column: Column of the text in CSV, JSON lines and tables of the hub.
        label_column: Column of the label.
        split_column: Column that says which split a row of a file belongs to: train, val (valid, validation, dev) or
            test; or, as ``is_valid`` does, true for validation and false for training. Default: none.
        encoding: Encoding of all files; by default UTF-8 and, in collections, Latin-1 where a file is not UTF-8.
    """

    hub: str | None = None
    revision: str | None = None
    column: str = "text"
    label_column: str = "label"
    split_column: str | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class TokenConfig:
    """How texts become rows of tokens, and rows batches.

    Attributes:
        lower_case: A learned tokenizer reads texts in lower case; without, Turkey and turkey are two words.
        revision: Branch, tag or commit of tokenizer_path on the hub.
        special_tokens: Put [CLS] before and [SEP] after each text, as pretrained encoders expect.
        max_seq_len: Longest row in tokens, special ones included.
        truncation_side: What is kept of a longer text: its "head", its "tail", or "both" (a quarter from the head).
        pool_batches: Training batches whose texts are sorted by length together, so that there is little padding; 1
            shuffles without regard to length.

    Raises:
        UserError: A value is out of its range.
    """

    lower_case: bool = True
    revision: str | None = None
    special_tokens: bool = False
    max_seq_len: int = 256
    truncation_side: TruncationSide = "head"
    pool_batches: int = 20

    def __post_init__(self) -> None:
        check_range("tokens.max_seq_len", self.max_seq_len, least=1)
        check_range("tokens.pool_batches", self.pool_batches, least=1)
        check_choice("tokens.truncation_side", self.truncation_side, TruncationSide)
        if self.special_tokens and self.max_seq_len < 3:
            raise UserError(
                f"tokens.max_seq_len {self.max_seq_len} leaves no room beside [CLS] and [SEP]; give at least 3"
            )

    @property
    def room(self) -> int:
        """Most tokens of a text in a row."""
        return self.max_seq_len - 2 * self.special_tokens

    @property
    def head(self) -> int:
        """How many of them are from the beginning of a text that is too long."""
        return {"head": self.room, "tail": 0, "both": round(HEAD_FRACTION * self.room)}[self.truncation_side]


@dataclass(frozen=True)
class PredictConfig:
    """Texts for predict.

    Attributes:
        texts: The texts. Default: a few examples.
        path: File of the texts in their place: .txt with one a line, .csv, .tsv or .jsonl.

    Raises:
        UserError: There is no text, one that cannot be read, or both are given.
    """

    texts: list[str] | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        refuse_both("predict.path", self.path, "predict.texts", self.texts)
        if self.texts is not None:
            check_texts(self.texts)


@dataclass(frozen=True)
class SplitConfig:
    """Validation texts, and texts that stand in more than one split.

    Attributes:
        val_fraction: Fraction of the training texts for validation, stratified by class.
        drop_duplicates: Remove from training (and validation) what a later split has, and repetitions. They are
            counted in any case.
        seed: Seed of the fractions; runs of different seeds share them.

    Raises:
        UserError: A value is out of its range.
    """

    val_fraction: float = 0.1
    drop_duplicates: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.seed", self.seed, least=0, most=MOST_SEED)


def check_texts(texts: Sequence[str]) -> None:
    """Refuses an empty list of texts, and a text that cannot be read."""
    if not texts:
        raise UserError('predict.texts is empty; give some, such as ["Who wrote Hamlet ?"]')
    for number, text in enumerate(texts, 1):
        if fault := text_fault(text):
            raise UserError(f"predict.texts: number {number}: {fault}")
