"""One id for each word of the training texts: what tables of word vectors (word2vec, GloVe) are made for."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, to_bytes
from seqlight.core.errors import UserError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3
# The Penn Treebank's manner of cutting, in which GloVe's vocabulary is written: do n't, Hamlet 's, U.S., long-term.
CONTRACTION = re.compile(r"(?<=\w)(?=n't\b)|(?<=\w)(?='(?:s|m|d|re|ve|ll)\b)", re.IGNORECASE)
ABBREVIATION = r"(?:mr|mrs|ms|dr|st|jr|sr|no|vs|inc|co|corp|ltd|gen|sen|rep|gov|col|lt|capt|sgt|prof|rev)\.(?=\s)"
WORD = re.compile(
    r"(?:[^\W\d_]\.){2,}"  # U.S.
    r"|\b(?:[^\W\d_]\.(?=\s+\w)|" + ABBREVIATION + ")"  # the J. of Robert J. Lee; Mrs.
    r"|n't\b|'(?:s|m|d|re|ve|ll)\b"  # what CONTRACTION cut off
    r"|\w+(?:[-.,/&'_]\w+)*"  # words, numbers, long-term, AT&T, 1,000.5
    r"|``|''|\.\.\.|--|[^\w\s]",
    re.IGNORECASE,
)
CLOSED_BY = {'"': '"', "\u201e": "\u201c", "\u201c": "\u201d", "\u00ab": "\u00bb", "``": "''"}  # quotation marks
OPENING = {*CLOSED_BY, *"([{\u00bf\u00a1$\u00a3"}  # no space follows; the last ones are Spanish marks and currencies
CLOSING = re.compile(
    r"n't|'(?:s|m|d|re|ve|ll)?|\.\.\.|[.,!?;:%)\]}\u2026\u201d\u00bb]", re.IGNORECASE
)  # no space before
MAX_WORDS = 2_000_000


def split_words(text: str, lower_case: bool = True) -> list[str]:
    """The words and punctuation marks of a text, by default in lower case: "Don't go!" -> do, n't, go, !"""
    text = text.lower() if lower_case else text
    return WORD.findall(CONTRACTION.sub(" ", text.replace("\u2019", "'")))


def join_words(words: Sequence[str]) -> str:
    """Words and punctuation marks as one writes them: do, n't, go, ! -> "don't go!"

    The text that :func:`split_words` cut may have had other spaces, around dashes and dots above all.
    """
    text, opened, glue = "", "", True  # the quotation mark that is open; the next word follows without a space
    for word in words:
        closes = opened != "" and word == CLOSED_BY[opened]
        opens = not closes and word in OPENING
        if closes or word in CLOSED_BY:
            opened = "" if closes else word
        text += word if glue or closes or CLOSING.fullmatch(word) else " " + word
        glue = opens
    return text


class WordTokenizer(Tokenizer):
    """Words; one that the vocabulary lacks is unknown.

    Args:
        words: The words in the order of their ids from 4 on, a line each; below are padding, unknown, start and end.
        lower_case: Read every text in lower case. Without, a word that is not known as it is written is read as the
            small one where that is known: Books at a sentence's start is books.
    """

    kind = "words"

    def __init__(self, words: str, lower_case: bool = True) -> None:
        self.lower_case = lower_case
        self._pieces = [*SPECIAL, *(words.split("\n") if words else ())]
        if len(self._pieces) > MAX_WORDS:
            raise UserError(f"tokenizer has {len(self._pieces):,} words; at most {MAX_WORDS:,} are read")
        self._ids = {piece: i for i, piece in enumerate(self._pieces)}
        if len(self._ids) < len(self._pieces):
            twice = Counter(self._pieces).most_common(1)[0][0]
            raise UserError(f"tokenizer has the word {twice!r} twice; each may have one id")
        self.vocab_size = len(self._pieces)
        self.special = {piece.strip("[]").lower(): i for i, piece in enumerate(SPECIAL)}
        lengths = [0, 1, 0, 0, *map(len, self._pieces[len(SPECIAL) :])]
        self.characters = np.array(lengths, dtype=np.int64)

    @staticmethod
    def recipe() -> str:
        """What decides on the words beside the text: the way of cutting, numbered."""
        return "penn1"

    @classmethod
    def train(
        cls, texts: Sequence[str], vocab_size: int, lower_case: bool = True, min_count: int = 1
    ) -> "WordTokenizer":
        """The most frequent words of some texts; ties in alphabetical order.

        Args:
            texts: What to take them from.
            vocab_size: Number of ids at most, the four special ones included.
            lower_case: Read the texts in lower case.
            min_count: How often a word must be used.

        Raises:
            ValueError: There is no room for a word, or no word.
        """
        if vocab_size <= len(SPECIAL):
            raise UserError(f"vocab_size {vocab_size} leaves no room for a word; give more than {len(SPECIAL)}")
        counts = Counter(word for text in texts for word in split_words(text, lower_case))
        if not counts:
            raise UserError("tokenizer: the training texts hold no word to learn from")
        kept = [word for word, count in counts.items() if count >= min_count]
        if not kept:
            raise UserError(
                f"min_count {min_count}: no word of the training texts is used so often; give a smaller one"
            )
        ordered = sorted(kept, key=lambda word: (-counts[word], word))
        return cls("\n".join(ordered[: vocab_size - len(SPECIAL)]), lower_case)

    def encode_texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of many texts, an array of integers each."""
        return [self.encode_array(text) for text in texts]

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        to_bytes(text, "utf-8")  # refuses surrogates by name
        unknown, ids = self.special["unk"], self._ids
        words = split_words(text, self.lower_case)
        return np.array([ids.get(word, ids.get(word.lower(), unknown)) for word in words], dtype=np.int32)

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
        state = {"kind": self.kind, "words": "\n".join(self._pieces[len(SPECIAL) :])}
        return state if self.lower_case else {**state, "lower_case": False}
