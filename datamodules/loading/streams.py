"""Token ids of a whole corpus in a file: encoded once and mapped into memory, so that only the disk limits its size."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from datamodules.loading.cache import once


def smallest_type(vocab_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds the ids 0 to vocab_size - 1."""
    return np.min_scalar_type(max(vocab_size - 1, 0))


class TokenStream:
    """A long run of token ids in a file.

    Args:
        path: Raw file of ids. A copy of the stream in a worker process opens it again.
        dtype: Type of an id in the file.
    """

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.path, self.dtype = path, dtype
        self._ids: np.ndarray | None = None

    @property
    def ids(self) -> np.ndarray:
        """All ids (N,), read only; the system reads them from the disk when they are used."""
        if self._ids is None:
            empty = self.path.stat().st_size == 0  # an empty file cannot be mapped
            mapped = np.zeros(0, self.dtype) if empty else np.memmap(self.path, self.dtype, mode="r")
            self._ids = np.asarray(mapped)  # a plain view: memmap's own indexing is slower
        return self._ids

    def __len__(self) -> int:
        return self.path.stat().st_size // self.dtype.itemsize

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "dtype": self.dtype, "_ids": None}

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Runs of ids (B, length) from each of ``starts`` (B,). Past the end the last id is repeated."""
        places = starts[:, None] + np.arange(length)
        return self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int64)


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
