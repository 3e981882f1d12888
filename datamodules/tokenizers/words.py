"""One id for each word of the training texts: what tables of word vectors (word2vec, GloVe) are made for."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, to_bytes

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3
# The Penn Treebank's manner of cutting, in which GloVe's vocabulary is written: do n't, Hamlet 's, U.S., long-term.
CONTRACTION = re.compile(r"(?<=\w)(?=n't\b)|(?<=\w)(?='(?:s|m|d|re|ve|ll)\b)")
ABBREVIATION = r"(?:mr|mrs|ms|dr|st|jr|sr|no|vs|inc|co|corp|ltd|gen|sen|rep|gov|col|lt|capt|sgt|prof|rev)\.(?=\s)"
WORD = re.compile(
    r"(?:[^\W\d_]\.){2,}"  # U.S.
    r"|\b(?:[^\W\d_]\.(?=\s+\w)|" + ABBREVIATION + ")"  # the J. of Robert J. Lee; Mrs.
    r"|n't\b|'(?:s|m|d|re|ve|ll)\b"  # what CONTRACTION cut off
    r"|\w+(?:[-.,/&'_]\w+)*"  # words, numbers, long-term, AT&T, 1,000.5
    r"|``|''|\.\.\.|--|[^\w\s]"
)
MAX_WORDS = 2_000_000


def split_words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case: "Don't go!" -> do, n't, go, !"""
    parts = CONTRACTION.sub(" ", text.lower().replace("\u2019", "'"))
    return WORD.findall(parts)


class WordTokenizer(Tokenizer):
    """Lower-case words; one that the vocabulary lacks is unknown.

    Args:
        words: The words in the order of their ids from 4 on, a line each; below are padding, unknown, start and end.
    """

    kind = "words"

    def __init__(self, words: str) -> None:
        self._pieces = [*SPECIAL, *(words.split("\n") if words else ())]
        if len(self._pieces) > MAX_WORDS:
            raise ValueError(f"tokenizer has {len(self._pieces):,} words; at most {MAX_WORDS:,} are read")
        self._ids = {piece: i for i, piece in enumerate(self._pieces)}
        if len(self._ids) < len(self._pieces):
            twice = Counter(self._pieces).most_common(1)[0][0]
            raise ValueError(f"tokenizer has the word {twice!r} twice; each may have one id")
        self.vocab_size = len(self._pieces)
        self.special = {piece.strip("[]").lower(): i for i, piece in enumerate(SPECIAL)}
        lengths = [0, 1, 0, 0, *map(len, self._pieces[len(SPECIAL) :])]
        self.characters = np.array(lengths, dtype=np.int64)

    @staticmethod
    def recipe() -> str:
        """What decides on the words beside the text: the way of cutting, numbered."""
        return "penn1"

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int) -> "WordTokenizer":
        """The most frequent words of some texts, those used once included; ties in alphabetical order.

        Args:
            texts: What to take them from.
            vocab_size: Number of ids at most, the four special ones included.

        Raises:
            ValueError: There is no room for a word, or no word.
        """
        if vocab_size <= len(SPECIAL):
            raise ValueError(f"vocab_size {vocab_size} leaves no room for a word; give more than {len(SPECIAL)}")
        counts = Counter(word for text in texts for word in split_words(text))
        if not counts:
            raise ValueError("tokenizer: the training texts hold no word to learn from")
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls("\n".join(ordered[: vocab_size - len(SPECIAL)]))

    def encode_texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of many texts, an array of integers each."""
        return [self.encode_array(text) for text in texts]

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        to_bytes(text, "utf-8")  # refuses surrogates by name
        unknown = self.special["unk"]
        return np.array([self._ids.get(word, unknown) for word in split_words(text)], dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The words with spaces between; of special ones [UNK] alone shows."""
        return " ".join(
            UNKNOWN if i == self.special["unk"] else self._pieces[i]
            for i in map(int, ids)
            if i >= len(SPECIAL) or i == self.special["unk"]
        )

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`."""
        return [self._pieces[i] for i in ids]

    def state(self) -> dict[str, Any]:
        """See :class:`Tokenizer`."""
        return {"kind": self.kind, "words": "\n".join(self._pieces[len(SPECIAL) :])}
