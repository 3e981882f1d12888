"""Token ids of a whole corpus on disk, encoded once and mapped into memory: as long as the disk, not the memory."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.loading.cache import once


def smallest_type(vocab_size: int) -> np.dtype:
    """The smallest unsigned integer type that holds the ids 0 ... vocab_size - 1."""
    return np.min_scalar_type(max(vocab_size - 1, 0))


class TokenStream:
    """A long run of token ids in a file.

    Args:
        path: Raw file of ids; workers that get a copy of the stream open it anew.
        dtype: Type of an id in the file.
    """

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.path, self.dtype = path, dtype
        self._ids: np.ndarray | None = None

    @property
    def ids(self) -> np.ndarray:
        """All ids (N,), read only, loaded from the disk as they are touched."""
        if self._ids is None:
            empty = self.path.stat().st_size == 0  # which no system maps
            mapped = np.zeros(0, self.dtype) if empty else np.memmap(self.path, self.dtype, mode="r")
            self._ids = np.asarray(mapped)  # a plain view: memmap's own indexing is slower
        return self._ids

    def __len__(self) -> int:
        return self.path.stat().st_size // self.dtype.itemsize

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "dtype": self.dtype, "_ids": None}

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Runs of ids (B, length) from each of ``starts`` (B,); past the end the last id is repeated."""
        places = starts[:, None] + np.arange(length)
        return self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int64)


def encode_once(folder: Path, name: str, vocab_size: int, arrays: Callable[[], Iterable[np.ndarray]]) -> TokenStream:
    """The stream of that name, encoded if it is not on disk yet; several processes do it once.

    Args:
        folder: Where streams are kept.
        name: All that the ids depend on: fingerprints of the data and of the tokenizer, and the part of the data.
        vocab_size: Ids are below it; decides on the type.
        arrays: Gives the ids in pieces (N,), of which one at a time is held in memory.
    """
    dtype = smallest_type(vocab_size)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            for ids in arrays():
                file.write(ids.astype(dtype).tobytes())

    return TokenStream(once(folder / f"{name}.{dtype.name}", write), dtype)


def progress_bar(total: int, doing: str, unit: str) -> Any:
    """A bar in the terminal for what takes longer than a second, to be used in a ``with``, with ``update``.

    Args:
        total: Units in all.
        doing: What is done, beside the bar.
        unit: What is counted.
    """
    from tqdm import tqdm

    return tqdm(total=total, desc=doing, unit=unit, unit_scale=True, delay=1, disable=None, leave=False)


def with_progress(pieces: Iterable[str], total: int, doing: str) -> Iterator[str]:
    """Passes pieces of text on, with a progress bar.

    Args:
        pieces: Texts.
        total: Their characters in all.
        doing: What is done with them, for the bar.
    """
    with progress_bar(total, doing, "char") as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))
