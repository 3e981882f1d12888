"""Base of the text tokenizers: text to ids and back, with a state of plain data."""

from abc import abstractmethod
from collections.abc import Iterable

import numpy as np

from datamodules.tokenizers.stateful import Stateful
from seqlight.core.errors import UserError

UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # an unknown symbol decodes to this


class Tokenizer(Stateful):
    """Text to token ids 0 ... vocab_size - 1, and back.

    Attributes:
        kind: Which tokenizer it is, as in its state.
        vocab_size: Number of ids.
        characters: Number of characters of each id, (V,). Of a character's bytes, the first counts as one character and
            the others as none. The sum over a text's ids is therefore its length, which turns nats per token into bits
            per character.
        special: Ids without a text of their own, such as padding, by name.
    """

    characters: np.ndarray
    special: dict[str, int]

    @abstractmethod
    def encode_array(self, text: str) -> np.ndarray:
        """As :meth:`encode`, into an array of integers (N,): for long texts."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not valid text become replacement characters."""

    def continuation(self, prompt: str, ids: Iterable[int]) -> str:
        """The text that ids add to a prompt: ``prompt + continuation`` can be read. By default :meth:`decode`'s."""
        return self.decode(ids)

    @abstractmethod
    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The text of each id by itself, for labels."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text.

        Raises:
            UserError: The text has a lone surrogate (half of a pair), which is not a character.
        """
        return self.encode_array(text).tolist()


def to_bytes(text: str, encoding: str) -> bytes:
    """The text in one of Unicode's encodings; surrogates are refused by name."""
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise UserError(
            f"text holds a lone surrogate (U+{ord(text[error.start]):04X} at character {error.start}), which is not "
            "a character; read it with the right encoding"
        ) from error


def byte_characters(values: np.ndarray) -> np.ndarray:
    """Characters that UTF-8's bytes stand for: 0 for a continuation byte (0x80 to 0xBF), else 1."""
    return ((values & 0xC0) != 0x80).astype(np.int64)


def byte_label(value: int) -> str:
    """A byte as a label: itself where ASCII can be read, else its number."""
    return chr(value) if 0x20 <= value < 0x7F else f"<0x{value:02X}>"
