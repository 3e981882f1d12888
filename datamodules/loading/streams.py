"""Writes the token ids of a whole corpus to a file, once; only the disk limits its size."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from datamodules.loading.cache import once
from datamodules.loading.token_windows import TokenStream


def smallest_type(vocab_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds the ids 0 to vocab_size - 1."""
    return np.min_scalar_type(max(vocab_size - 1, 0))


def encode_once(folder: Path, name: str, vocab_size: int, arrays: Callable[[], Iterable[np.ndarray]]) -> TokenStream:
    """The stream of that name. It is encoded if it is not on disk yet, by one of several processes.

    Args:
        folder: Folder of the streams.
        name: Everything that the ids depend on: fingerprints of the text and the tokenizer, and the part of the text.
        vocab_size: Upper limit of the ids, not included; it determines their type.
        arrays: Returns the ids in pieces (N,); one piece at a time is in memory.
    """
    dtype = smallest_type(vocab_size)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for ids in arrays():
                file.write(ids.astype(dtype).tobytes())

    return TokenStream(once(folder / f"{name}.{dtype.name}", write), dtype)
