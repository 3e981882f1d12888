"""A tokenizer of text that is read from a file, or learned once and kept."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.loading.cache import once
from datamodules.tokenizers import ByteTokenizer, CharTokenizer, SentencePieceTokenizer, Tokenizer, load, save
from seqlight.core.checks import check_choice, check_range

TokenizerKind = Literal["char", "byte", "unigram", "bpe"]


@dataclass(frozen=True)
class TokenizerChoice:
    """Which tokenizer a text gets. Not a group of options: the datamodules have each of these as an option.

    Attributes:
        tokenizer: One id a character, a byte, or a SentencePiece subword (unigram or bpe).
        vocab_size: Number of subwords.
        tokenizer_path: SentencePiece .model file or checkpoint whose tokenizer is used instead.

    Raises:
        UserError: A value is out of its range.
    """

    tokenizer: TokenizerKind
    vocab_size: int
    tokenizer_path: str | None

    def __post_init__(self) -> None:
        check_choice("tokenizer", self.tokenizer, TokenizerKind)
        check_range("vocab_size", self.vocab_size, least=1)

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
            return load(self.tokenizer_path)
        if self.tokenizer == "byte":
            return ByteTokenizer()
        kind: str = self.tokenizer
        if kind != "char":
            kind += f"-{self.vocab_size}-{SentencePieceTokenizer.training_version()}"
        return load(
            once(folder / f"{name}-{kind}.tokenizer", lambda path: save(self.learn(pieces(), characters), path))
        )

    def learn(self, pieces: Iterable[str], characters: int) -> Tokenizer:
        """Learns the tokenizer from a text."""
        if self.tokenizer in ("unigram", "bpe"):
            return SentencePieceTokenizer.train(pieces, self.tokenizer, self.vocab_size, characters)
        return CharTokenizer.train(pieces)
