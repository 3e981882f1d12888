"""Groups of arguments of the datamodule of tagged sentences."""

from dataclasses import dataclass
from typing import Literal

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import MOST_SEED, check_choice, check_range, refuse_both

Bio = Literal["check", "repair", "ignore"]


@dataclass(frozen=True)
class ColumnConfig:
    """Where words and labels stand in CoNLL-style files, which have a word a line and an empty line after a sentence.

    Columns are separated by tabs; in a line without a tab, by spaces.

    Attributes:
        word: Number of the words' column, from 1 on; a negative one counts from the last column, which is -1. Default:
            2 in CoNLL-U (files that end in .conllu), otherwise 1.
        label: Number of the labels' column. Default: 4 in CoNLL-U, the universal part of speech; otherwise -1.
        comments: Lines before a sentence that begin with # are comments. Default: in CoNLL-U alone, for elsewhere # may
            be a word.
        bio: What happens to an I-X that no span of the type X precedes: it is refused ("check"), made B-X ("repair",
            which reads files in the scheme IOB1), or left alone ("ignore"). Labels of other schemes are not affected.

    Raises:
        UserError: A column has the number 0, or a choice is not known.
    """

    word: int | None = None
    label: int | None = None
    comments: bool | None = None
    bio: Bio = "check"

    def __post_init__(self) -> None:
        for name in ("word", "label"):
            if getattr(self, name) == 0:
                raise UserError(f"columns.{name} 0: columns are counted from 1, or from the last one, -1")
        check_choice("columns.bio", self.bio, Bio)


@dataclass(frozen=True)
class TagHubConfig:
    """A data set of the Hugging Face hub in place of files.

    Attributes:
        hub: The data set, such as eriktks/conll2003, or owner/name:config.
        revision: Its branch, tag or commit. ``refs/convert/parquet`` serves old data sets that were scripts.
        words: Column of the words, a list in each row.
        labels: Column of the labels, a list as long.
    """

    hub: str | None = None
    revision: str | None = None
    words: str = "tokens"
    labels: str = "ner_tags"


@dataclass(frozen=True)
class TagSplit:
    """Validation and test sentences.

    Attributes:
        val_path: File of the validation. Default: a file of the folder ``path``, or ``val_fraction``.
        test_path: File of the test. Default: a file of the folder ``path``, or ``test_fraction``.
        val_fraction: Fraction of the training sentences for validation, where no file is there.
        test_fraction: Fraction of the training sentences for the test, where no file is there.
        seed: Seed of the fractions; runs of different seeds share them.

    Raises:
        UserError: A value is out of its range.
    """

    val_path: str | None = None
    test_path: str | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.test_fraction", self.test_fraction, above=0, below=1 - self.val_fraction)
        check_range("split.seed", self.seed, least=0, most=MOST_SEED)


@dataclass(frozen=True)
class TagTokens:
    """How words become numbers.

    Attributes:
        lower_case: Words are looked up in lower case. Their characters keep their case.
        min_count: How often a word, or a character, must be used in the training sentences; others are unknown.
        max_characters: Of a longer word, the net reads the first and the last characters, half of them each.
        revision: Branch, tag or commit of tokenizer_path on the hub.
        max_pieces: Most subwords of a sentence with a pretrained tokenizer, [CLS] and [SEP] included; a longer sentence
            is refused, since the encoder has no more positions.
        pool_batches: Training batches whose sentences are sorted by their number of tokens together, so that there is
            little padding; 1 shuffles without regard to length.

    Raises:
        UserError: A value is out of its range.
    """

    lower_case: bool = True
    min_count: int = 2
    max_characters: int = 24
    revision: str | None = None
    max_pieces: int = 512
    pool_batches: int = 20

    def __post_init__(self) -> None:
        check_range("tokens.min_count", self.min_count, least=1)
        check_range("tokens.max_characters", self.max_characters, least=2)
        check_range("tokens.max_pieces", self.max_pieces, least=3)
        check_range("tokens.pool_batches", self.pool_batches, least=1)


@dataclass(frozen=True)
class TagPredict:
    """Sentences for predict.

    Attributes:
        texts: Sentences as running text, which are split into words and punctuation marks. Default: a few examples.
        path: File of the sentences in their place: .txt with a sentence of running text on each line, or any other
            ending with a word a line, whose columns are written back with the predicted labels.

    Raises:
        UserError: Both are given, or there is no sentence.
    """

    texts: list[str] | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        refuse_both("predict.path", self.path, "predict.texts", self.texts)
        if self.texts is not None and not all(text.strip() for text in self.texts or [""]):
            raise UserError('predict.texts must be sentences with words, such as ["Time flies like an arrow ."]')
