"""One id for each byte of a text in UTF-8."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from datamodules.tokenizers.base import Tokenizer, byte_characters, byte_label, to_bytes


class ByteTokenizer(Tokenizer):
    """The 256 bytes of UTF-8: knows every text, learns nothing, and makes long sequences of anything but English."""

    kind = "byte"
    vocab_size = 256

    def __init__(self) -> None:
        self.special = {}
        self.characters = byte_characters(np.arange(256))

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        return np.frombuffer(to_bytes(text, "utf-8"), dtype=np.uint8)

    def decode(self, ids: Iterable[int]) -> str:
        """See :class:`Tokenizer`."""
        return bytes(map(int, ids)).decode("utf-8", "replace")

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`."""
        return [byte_label(int(i)) for i in ids]

    def state(self) -> dict[str, Any]:
        """See :class:`Tokenizer`."""
        return {"kind": self.kind}
