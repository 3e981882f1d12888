"""Whole words as tokens, one id per word of the training texts. Tables of word vectors (word2vec, GloVe) need this."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, to_bytes
from seqlight.core.errors import UserError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # ids 0 to 3
# Texts are split as in the Penn Treebank and in GloVe's vocabulary: do n't, Hamlet 's, U.S., long-term.
CONTRACTION = re.compile(r"(?<=\w)(?=n't\b)|(?<=\w)(?='(?:s|m|d|re|ve|ll)\b)", re.IGNORECASE)
ABBREVIATION = r"(?:mr|mrs|ms|dr|st|jr|sr|no|vs|inc|co|corp|ltd|gen|sen|rep|gov|col|lt|capt|sgt|prof|rev)\.(?=\s)"
WORD = re.compile(
    r"(?:[^\W\d_]\.){2,}"  # U.S.
    r"|\b(?:[^\W\d_]\.(?=\s+\w)|" + ABBREVIATION + ")"  # the J. in Robert J. Lee; Mrs.
    r"|n't\b|'(?:s|m|d|re|ve|ll)\b"  # the second half of a contraction
    r"|\w+(?:[-.,/&'_]\w+)*"  # words, numbers, long-term, AT&T, 1,000.5
    r"|``|''|\.\.\.|--|[^\w\s]",
    re.IGNORECASE,
)
CLOSING_QUOTE = {'"': '"', "\u201e": "\u201c", "\u201c": "\u201d", "\u00ab": "\u00bb", "``": "''"}
# No space follows these: quotation marks, brackets, Spanish opening marks, currency signs.
OPENING = {*CLOSING_QUOTE, *"([{\u00bf\u00a1$\u00a3"}
# No space precedes these.
CLOSING = re.compile(r"n't|'(?:s|m|d|re|ve|ll)?|\.\.\.|[.,!?;:%)\]}\u2026\u201d\u00bb]", re.IGNORECASE)
MAX_WORDS = 2_000_000


def split_words(text: str, lower_case: bool = True) -> list[str]:
    """The words and punctuation marks of a text, by default in lower case: "Don't go!" -> do, n't, go, !"""
    text = text.lower() if lower_case else text
    return WORD.findall(CONTRACTION.sub(" ", text.replace("\u2019", "'")))


def join_words(words: Sequence[str]) -> str:
    """Words and punctuation marks as running text: do, n't, go, ! -> "don't go!"

    The spaces may differ from those of the text that :func:`split_words` split, mostly around dashes and dots.
    """
    text = ""
    open_quote = ""  # the quotation mark that has not been closed yet
    no_space = True  # before the next word
    for word in words:
        closes = open_quote != "" and word == CLOSING_QUOTE[open_quote]
        opens = not closes and word in OPENING
        if closes or word in CLOSING_QUOTE:
            open_quote = "" if closes else word
        text += word if no_space or closes or CLOSING.fullmatch(word) else " " + word
        no_space = opens
    return text


class WordTokenizer(Tokenizer):
    """A word tokenizer. A word that is not in the vocabulary is encoded as [UNK].

    Args:
        words: The words, one per line, in the order of their ids from 4 on. Ids 0 to 3 are [PAD], [UNK], [CLS] and
            [SEP].
        lower_case: Convert every text to lower case. If false, a word whose own spelling is unknown is looked up in
            lower case: Books at the start of a sentence becomes books.

    Raises:
        UserError: A word occurs twice, or there are too many words.
    """

    kind = "words"
    NAMES = SPECIAL  # of ids 0 to 3

    def __init__(self, words: str, lower_case: bool = True) -> None:
        self.lower_case = lower_case
        self._pieces = [*self.NAMES, *(words.split("\n") if words else ())]
        if len(self._pieces) > MAX_WORDS:
            raise UserError(f"tokenizer has {len(self._pieces):,} words; at most {MAX_WORDS:,} are read")
        self._ids = {piece: i for i, piece in enumerate(self._pieces)}
        if len(self._ids) < len(self._pieces):
            twice = Counter(self._pieces).most_common(1)[0][0]
            raise UserError(f"tokenizer has the word {twice!r} twice; each may have one id")
        self.vocab_size = len(self._pieces)
        self.special = {piece.strip("[]").lower(): i for i, piece in enumerate(self.NAMES)}
        lengths = [*(int(name == "[UNK]") for name in self.NAMES), *map(len, self._pieces[len(SPECIAL) :])]
        self.characters = np.array(lengths, dtype=np.int64)

    @staticmethod
    def training_version() -> str:
        """The version of the rules by which texts are split, which decide on the learned words."""
        return "penn1"

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, lower_case: bool = True, min_count: int = 1
    ) -> "WordTokenizer":
        """Takes the most frequent words of the training texts. Words of equal frequency are in alphabetical order.

        Args:
            texts: The training texts.
            vocab_size: Largest number of ids, with the four special tokens.
            lower_case: Convert the texts to lower case.
            min_count: Leave out words that occur less often.

        Raises:
            UserError: ``vocab_size`` leaves no room for a word, the texts have none, or none is frequent enough.
        """
        if vocab_size <= len(SPECIAL):
            raise UserError(f"vocab_size {vocab_size} leaves no room for a word; give more than {len(SPECIAL)}")
        counts = Counter(word for text in texts for word in split_words(text, lower_case))
        if not counts:
            raise UserError("tokenizer: the training texts hold no word to learn from")
        frequent = [word for word, count in counts.items() if count >= min_count]
        if not frequent:
            raise UserError(
                f"min_count {min_count}: no word of the training texts is used so often; give a smaller one"
            )
        ordered = sorted(frequent, key=lambda word: (-counts[word], word))
        return cls("\n".join(ordered[: vocab_size - len(SPECIAL)]), lower_case)

    def encode_texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of many texts, one array (N,) of int32 per text."""
        return [self.encode_array(text) for text in texts]

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        to_bytes(text, "utf-8")  # refuses surrogates by name
        return np.array(self._word_ids(text), dtype=np.int32)

    def _word_ids(self, text: str) -> list[int]:
        unknown, ids = self.special["unk"], self._ids
        return [ids.get(word, ids.get(word.lower(), unknown)) for word in split_words(text, self.lower_case)]

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ids, with one space between them. Special tokens are left out, except [UNK] (U+FFFD)."""
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
