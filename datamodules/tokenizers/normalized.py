"""Text in lower case or without punctuation, changed in the same way wherever a tokenizer reads it."""

import re
import string
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from datamodules.tokenizers.base import Tokenizer

APOSTROPHE = re.compile("(?<=\\w)['\N{RIGHT SINGLE QUOTATION MARK}](?=\\w)")
SPACES = re.compile(r"[^\S\n]+")
SPACES_BEFORE_END = re.compile(r"[^\S\n]+\n")


def normalized_text(text: str, lower_case: bool, strip_punctuation: bool) -> str:
    """A text in lower case or without punctuation. Line ends stay, and a text that was changed is not changed again.

    Punctuation is what Unicode calls so, and ASCII's symbols such as $ and +. An apostrophe within a word leaves
    nothing (don't: dont), any other mark a space (well-known: well known). Then runs of spaces become one, and those
    before a line end none.

    Args:
        text: The text.
        lower_case: Whether it is put in lower case.
        strip_punctuation: Whether it loses its punctuation.
    """
    if lower_case:
        text = text.lower()
    if strip_punctuation:
        text = APOSTROPHE.sub("", text).translate(_punctuation())
        text = SPACES_BEFORE_END.sub("\n", SPACES.sub(" ", text))
    return text


@cache
def _punctuation() -> dict[int, str]:
    """A space for each mark of punctuation, as ``str.translate`` takes it."""
    marks = (i for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)).startswith("P"))
    return dict.fromkeys([*marks, *map(ord, string.punctuation)], " ")


class NormalizedTokenizer(Tokenizer):
    """A tokenizer that puts every text in lower case or strips its punctuation first.

    Its state is part of a checkpoint, which therefore reads prompts as it read the training text.

    Args:
        tokenizer: What encodes the changed text.
        lower_case: Put every text in lower case.
        strip_punctuation: Take the punctuation out of every text.

    Attributes:
        characters: See :class:`Tokenizer`; of the changed text.
    """

    kind = "normalized"

    def __init__(self, tokenizer: Tokenizer, lower_case: bool, strip_punctuation: bool) -> None:
        self.tokenizer, self.lower_case, self.strip_punctuation = tokenizer, lower_case, strip_punctuation
        self.vocab_size, self.characters, self.special = tokenizer.vocab_size, tokenizer.characters, tokenizer.special

    def normalize(self, text: str) -> str:
        """The text that is encoded for a text."""
        return normalized_text(text, self.lower_case, self.strip_punctuation)

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        return self.tokenizer.encode_array(self.normalize(text))

    def decode(self, ids: Iterable[int]) -> str:
        """See :class:`Tokenizer`."""
        return self.tokenizer.decode(ids)

    def continuation(self, prompt: str, ids: Iterable[int]) -> str:
        """See :class:`Tokenizer`."""
        return self.tokenizer.continuation(self.normalize(prompt), ids)

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`."""
        return self.tokenizer.pieces(ids)

    def state(self) -> dict[str, Any]:
        """See :class:`Tokenizer`."""
        return {
            "kind": self.kind,
            "lower_case": self.lower_case,
            "strip_punctuation": self.strip_punctuation,
            "tokenizer": self.tokenizer.state(),
        }


def normalized(tokenizer: Tokenizer, lower_case: bool, strip_punctuation: bool) -> Tokenizer:
    """A tokenizer that reads changed texts; the given one where it does so already, or nothing is to be changed."""
    if isinstance(tokenizer, NormalizedTokenizer):
        lower_case |= tokenizer.lower_case
        strip_punctuation |= tokenizer.strip_punctuation
        if (lower_case, strip_punctuation) == (tokenizer.lower_case, tokenizer.strip_punctuation):
            return tokenizer
        tokenizer = tokenizer.tokenizer
    return (
        NormalizedTokenizer(tokenizer, lower_case, strip_punctuation) if lower_case or strip_punctuation else tokenizer
    )
