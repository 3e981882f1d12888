"""A tokenizer of text that is read from a file, or learned once and kept."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.loading.cache import once
from datamodules.tokenizers import (
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    WordLineTokenizer,
    load,
    normalized,
    save,
)
from datamodules.tokenizers.normalized import normalized_text
from seqlight.core.hyperparameters import check_choice, check_range

TokenizerKind = Literal["char", "byte", "word", "unigram", "bpe"]


@dataclass(frozen=True)
class TokenizerChoice:
    """Which tokenizer a text gets. Not a group of options: the datamodules have each of these as an option.

    Attributes:
        tokenizer: One id a character, a byte, a word, or a SentencePiece subword (unigram or bpe).
        vocab_size: Number of subwords, or most words.
        tokenizer_path: SentencePiece .model file or checkpoint whose tokenizer is used instead.
        lower_case: Read every text in lower case.
        strip_punctuation: Read every text without its punctuation.
        min_count: How often a word must be used in the text; others are unknown.

    Raises:
        UserError: A value is out of its range.
    """

    tokenizer: TokenizerKind
    vocab_size: int
    tokenizer_path: str | None
    lower_case: bool = False
    strip_punctuation: bool = False
    min_count: int = 1

    def __post_init__(self) -> None:
        check_choice("tokenizer", self.tokenizer, TokenizerKind)
        check_range("vocab_size", self.vocab_size, least=1)
        check_range("text.min_count", self.min_count, least=1)

    @property
    def needs_text(self) -> bool:
        """Whether the tokenizer is learned from a text."""
        return self.tokenizer_path is None and self.tokenizer != "byte"

    def make(self, folder: Path, name: str, pieces: Callable[[], Iterable[str]], characters: int) -> Tokenizer:
        """The tokenizer; one process learns it for all.

        Args:
            folder: Where it is kept.
            name: Everything in the text that it depends on.
            pieces: Returns the text, cut at line ends.
            characters: Length of the text.
        """
        if self.tokenizer_path is not None:
            found = load(self.tokenizer_path)
        elif self.tokenizer == "byte":
            found = ByteTokenizer()
        else:
            path = folder / f"{name}-{self._mark}.tokenizer"
            found = load(once(path, lambda path: save(self.learn(pieces(), characters), path)))
        return normalized(found, self.lower_case, self.strip_punctuation)

    @property
    def _mark(self) -> str:
        """Everything that a learned tokenizer depends on beside the text."""
        mark: str = self.tokenizer
        if mark == "word":
            mark += f"-{self.vocab_size}-{self.min_count}-{WordLineTokenizer.training_version()}"
        elif mark != "char":
            mark += f"-{self.vocab_size}-{SentencePieceTokenizer.training_version()}"
        return mark + "-lower" * self.lower_case + "-stripped" * self.strip_punctuation

    def learn(self, pieces: Iterable[str], characters: int) -> Tokenizer:
        """Learns the tokenizer from a text, which is put in lower case and stripped as its texts will be."""
        if self.lower_case or self.strip_punctuation:
            pieces = (normalized_text(piece, self.lower_case, self.strip_punctuation) for piece in pieces)
        if self.tokenizer == "word":
            return WordLineTokenizer.train(pieces, self.vocab_size, min_count=self.min_count)
        if self.tokenizer in ("unigram", "bpe"):
            return SentencePieceTokenizer.train(pieces, self.tokenizer, self.vocab_size, characters)
        return CharTokenizer.train(pieces)
