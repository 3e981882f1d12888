"""One id for each character that the training text has."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, to_bytes
from seqlight.core.errors import UserError


class CharTokenizer(Tokenizer):
    """Characters, sorted, from id 1 on; id 0 is any other character and decodes as U+FFFD.

    Args:
        alphabet: The characters; sorted and made unique here.

    Raises:
        ValueError: The alphabet is empty or holds a surrogate.
    """

    kind = "char"

    def __init__(self, alphabet: str) -> None:
        if not alphabet:
            raise UserError("alphabet is empty; a character tokenizer needs a text to learn its characters from")
        self.alphabet = "".join(sorted(set(alphabet)))
        self.vocab_size = 1 + len(self.alphabet)
        self.special = {"unk": 0}
        self.characters = np.ones(self.vocab_size, dtype=np.int64)
        self._decoded = [UNKNOWN, *self.alphabet]
        points = np.frombuffer(to_bytes(self.alphabet, "utf-32-le"), dtype="<u4")
        self._ids = np.zeros(int(points[-1]) + 2, dtype=np.int32)  # code point -> id; its last entry for any beyond
        self._ids[points] = np.arange(1, self.vocab_size)

    @classmethod
    def train(cls, pieces: Iterable[str]) -> "CharTokenizer":
        """The tokenizer of all characters in some pieces of text."""
        found: set[str] = set()
        for piece in pieces:
            found.update(piece)
        return cls("".join(found))

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        points = np.frombuffer(to_bytes(text, "utf-32-le"), dtype="<u4")
        return self._ids[np.minimum(points, len(self._ids) - 1)]

    def decode(self, ids: Iterable[int]) -> str:
        """See :class:`Tokenizer`."""
        return "".join([self._decoded[i] for i in ids])

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`."""
        return [self._decoded[i] for i in ids]

    def state(self) -> dict[str, Any]:
        """See :class:`Tokenizer`."""
        return {"kind": self.kind, "alphabet": self.alphabet}
