"""Two tokenizers as one, for systems that read one language and write another: a source side and a target side."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer
from datamodules.tokenizers.stateful import Stateful
from datamodules.tokenizers.words import WordTokenizer, join_words, split_words
from seqlight.core.labels import SPECIAL_TOKENS, UNK


class SideTokenizer:
    """One side of a pair: a tokenizer whose ids begin with padding, unknown, beginning and end (0 to 3).

    What follows are the wrapped tokenizer's own ids in their order, without its special ones. SentencePiece reads every
    text with a space in front, so that a word is the same piece at the beginning of a sentence and within it.

    Args:
        tokenizer: Text to ids and back; its special ids are replaced by those of pairs.

    Attributes:
        vocab_size: Number of ids, the four special ones included.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        special = set(tokenizer.special.values())
        self._inner = np.array([i for i in range(tokenizer.vocab_size) if i not in special], dtype=np.int64)
        self._outer = np.full(tokenizer.vocab_size, UNK, dtype=np.int32)
        self._outer[self._inner] = len(SPECIAL_TOKENS) + np.arange(len(self._inner))
        self.vocab_size = len(SPECIAL_TOKENS) + len(self._inner)
        self._prefix = " " if tokenizer.kind == "sentencepiece" else ""

    def encode_array(self, text: str) -> np.ndarray:
        """As :meth:`encode`, into an array of integers (N,)."""
        return self._outer[self.tokenizer.encode_array(self._prefix + text)] if text else np.zeros(0, dtype=np.int32)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, with neither beginning nor end.

        Raises:
            UserError: The text has a lone surrogate.
        """
        return self.encode_array(text).tolist()

    def decode(self, ids: Iterable[int], unknown: Sequence[str] = ()) -> str:
        """The text of ids; padding, beginning and end are left out. Words are joined as they are written.

        Args:
            ids: The ids.
            unknown: What the unknown ids stand for, in their order; U+FFFD where there are no more.
        """
        given = iter(unknown)
        parts: list[str] = []
        run: list[int] = []  # ids between two unknown ones: a character may be made of several
        for i in map(int, ids):
            if i >= len(SPECIAL_TOKENS):
                run.append(int(self._inner[i - len(SPECIAL_TOKENS)]))
            elif i == UNK:
                parts += [*self._texts(run), next(given, UNKNOWN)]
                run = []
        parts += self._texts(run)
        if isinstance(self.tokenizer, WordTokenizer):
            return join_words(parts)
        return "".join(parts).removeprefix(self._prefix)

    def _texts(self, run: list[int]) -> list[str]:
        if isinstance(self.tokenizer, WordTokenizer):
            return self.tokenizer.pieces(run)
        return [self.tokenizer.decode(run)]

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The text of each id by itself, for pictures; special ones are <pad>, <unk>, <s> and </s>."""
        return [
            SPECIAL_TOKENS[i] if i < len(SPECIAL_TOKENS) else self._pieces[i - len(SPECIAL_TOKENS)]
            for i in map(int, ids)
        ]

    @cached_property
    def _pieces(self) -> list[str]:
        return self.tokenizer.pieces(self._inner.tolist())

    def split(self, text: str) -> list[str]:
        """What each id of ``encode(text)`` stands for in the text, an unknown word or character included."""
        if isinstance(self.tokenizer, WordTokenizer):
            return split_words(text, self.tokenizer.lower_case)
        return list(text) if self.tokenizer.kind == "char" else self.tokens(self.encode_array(text))


class TokenizerPair(Stateful):
    """The tokenizers of source and target.

    Args:
        source: The source's.
        target: The target's. Default: the same, with one vocabulary for both.

    Attributes:
        source: The source's, with the ids of padding, unknown, beginning and end.
        target: The target's; where the vocabulary is shared, the same object.
        source_vocab_size: Number of the source's ids.
        vocab_size: Number of the target's ids.
    """

    kind = "pair"

    def __init__(self, source: Tokenizer, target: Tokenizer | None = None) -> None:
        self.source = SideTokenizer(source)
        self.target = self.source if target is None else SideTokenizer(target)
        self.source_vocab_size, self.vocab_size = self.source.vocab_size, self.target.vocab_size

    @property
    def shared(self) -> bool:
        """Whether both sides have one vocabulary."""
        return self.source is self.target

    def state(self) -> dict[str, Any]:
        """See :class:`Stateful`."""
        target = None if self.shared else self.target.tokenizer.state()
        return {"kind": self.kind, "source": self.source.tokenizer.state(), "target": target}
