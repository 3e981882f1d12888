"""What every tokenizer does: text to ids and back, and say of itself what it is."""

from abc import abstractmethod
from collections.abc import Iterable

import numpy as np

from datamodules.tokenizers.stateful import Stateful
from seqlight.core.errors import UserError

UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # what an unknown symbol decodes as


class Tokenizer(Stateful):
    """Text to token ids 0 ... vocab_size - 1, and back.

    Attributes:
        kind: Which tokenizer it is, as in its state.
        vocab_size: Number of ids.
        characters: How many characters of text each id stands for, (V,). Of the bytes of a character the first stands
            for it and the others for none, so that the sum over a text's ids is the text's length, and nats a token
            become bits a character.
        special: Ids that stand for no text of their own, by name.
    """

    characters: np.ndarray
    special: dict[str, int]

    @abstractmethod
    def encode_array(self, text: str) -> np.ndarray:
        """As :meth:`encode`, into an array of integers (N,): for long texts."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text that ids stand for; what is no text (half of a character, say) becomes a replacement character."""

    @abstractmethod
    def pieces(self, ids: Iterable[int]) -> list[str]:
        """What each id stands for by itself, for labels."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            ValueError: The text holds half of a surrogate pair, which is no character.
        """
        return self.encode_array(text).tolist()


def to_bytes(text: str, encoding: str) -> bytes:
    """The text in one of Unicode's encodings; surrogates are refused by name."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise UserError(
            f"text holds a lone surrogate (U+{ord(text[error.start]):04X} at character {error.start}), which is no "
            "character; read it with the right encoding"
        ) from error


def byte_characters(values: np.ndarray) -> np.ndarray:
    """Characters that UTF-8's bytes stand for: 0 for a continuation byte (0x80 to 0xBF), else 1."""
    return ((values & 0xC0) != 0x80).astype(np.int64)


def byte_label(value: int) -> str:
    """A byte as a label: itself where ASCII can be read, else its number."""
    return chr(value) if 0x20 <= value < 0x7F else f"<0x{value:02X}>"
