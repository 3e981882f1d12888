"""The tokenizers of translation: what pairs of texts are cut into, learned from the training pairs once and kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np

from datamodules.loading.cache import once
from datamodules.tokenizers import (
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    TokenizerPair,
    WordTokenizer,
    load_pair,
    save,
)
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

PairTokenizerKind = Literal["unigram", "bpe", "words", "char"]


@dataclass(frozen=True)
class PairTokenConfig:
    """How pairs become rows of tokens.

    Attributes:
        shared: One vocabulary for both languages, learned from both; else one for each.
        lower_case: For words: read texts in lower case, and write translations in it.
        min_count: For words: how often a word must be used in the training pairs; others are unknown.
        max_len: Training pairs of which one side has more tokens, its end included, are left out.
        max_ratio: Training pairs of which one side has more than so many times the other's tokens are left out.
            Default: none are.

    Raises:
        UserError: A value is out of its range.
    """

    shared: bool = True
    lower_case: bool = False
    min_count: int = 2
    max_len: int = 128
    max_ratio: float | None = None

    def __post_init__(self) -> None:
        check_range("tokens.min_count", self.min_count, least=1)
        check_range("tokens.max_len", self.max_len, least=2)
        check_range("tokens.max_ratio", self.max_ratio, least=1)

    def fits(self, lengths: np.ndarray) -> np.ndarray:
        """Which pairs are short enough, (N, 2) -> (N,)."""
        longest, shortest = lengths.max(axis=1), lengths.min(axis=1)
        return (longest <= self.max_len) & (self.max_ratio is None or longest <= self.max_ratio * shortest)


@dataclass(frozen=True)
class PairTokenizers:
    """Which tokenizers the two languages get. Not a group of options: the datamodule has each of these as an option.

    Attributes:
        kind: SentencePiece's subwords (unigram or bpe), words, or characters.
        vocab_size: Most subwords or words of a vocabulary.
        config: Shared or separate, and what counts as a word.
        source_vocab_size: Most subwords or words of the source's vocabulary; by default ``vocab_size``.

    Raises:
        UserError: A value is out of its range, or a shared vocabulary is to have two sizes.
    """

    kind: PairTokenizerKind
    vocab_size: int
    config: PairTokenConfig
    source_vocab_size: int | None = None

    def __post_init__(self) -> None:
        check_choice("tokenizer", self.kind, PairTokenizerKind)
        check_range("vocab_size", self.vocab_size, least=1)
        check_range("source_vocab_size", self.source_vocab_size, least=1)
        if self.config.shared and self.source_vocab_size is not None:
            raise UserError(
                f"source_vocab_size {self.source_vocab_size} needs two vocabularies; give tokens.shared false, or "
                "vocab_size alone"
            )

    def make(self, folder: Path, sources: Sequence[str], targets: Sequence[str]) -> TokenizerPair:
        """The tokenizers of some pairs; one process learns them for all.

        Args:
            folder: Where they are kept.
            sources: Texts of the source language.
            targets: Texts of the target language.
        """
        digest = hashlib.sha256()
        for text in chain(sources, targets):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        versions = {"words": WordTokenizer.training_version(), "char": ""}
        version = versions.get(self.kind) or SentencePieceTokenizer.training_version()
        config = self.config
        sizes = self.vocab_size if self.source_vocab_size is None else self.source_vocab_size, self.vocab_size
        marks = (self.kind, *sizes, version, config.shared, config.lower_case, config.min_count)
        digest.update(repr(marks).encode())

        def write(path: Path) -> None:
            if config.shared:
                save(TokenizerPair(self._learn([*sources, *targets], self.vocab_size)), path)
            else:
                save(TokenizerPair(*map(self._learn, (sources, targets), sizes)), path)

        return load_pair(once(folder / f"{digest.hexdigest()[:16]}-{self.kind}.tokenizer", write))

    def _learn(self, texts: Sequence[str], vocab_size: int) -> Tokenizer:
        if self.kind == "char":
            return CharTokenizer.train(texts)
        if self.kind == "words":
            return WordTokenizer.train(texts, vocab_size, self.config.lower_case, self.config.min_count)
        lines = [f" {text}\n" for text in texts]  # the space with which SideTokenizer reads every text
        return SentencePieceTokenizer.train(lines, self.kind, vocab_size, sum(map(len, lines)), at_most=True)
