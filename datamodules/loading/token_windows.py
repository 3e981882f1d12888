"""A file of token ids, and the windows of it that a net is trained on: a whole batch by one gather.

A window that starts at s has the ids s ... s+T-1 as inputs and s+1 ... s+T as labels. Letters: T length of a window,
N of the stream, B batch size, V size of the vocabulary.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counter_rng import random_uint64


class TokenStream:
    """A long run of token ids in a file, which is mapped into memory.

    Args:
        path: Raw file of ids. A copy of the stream in a worker process opens it again.
        dtype: Type of an id in the file.
    """

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.path, self.dtype = path, dtype
        self._ids: np.ndarray | None = None

    @property
    def ids(self) -> np.ndarray:
        """All ids (N,), read only; read from the disk when they are used."""
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
        positions = starts[:, None] + np.arange(length)
        return self.ids[np.minimum(positions, len(self.ids) - 1)].astype(np.int64)


class Windows(BatchDataset):
    """Base: a subclass computes where each window starts.

    A batch has ``input_ids`` and ``labels`` (B, T), ``characters``, the number of characters that the labels stand for,
    and ``index``, the windows' numbers (B,).

    Args:
        stream: The ids, at least T + 1.
        seq_len: Length T of a window.
        characters: Number of characters that each id stands for (V,).
        size: Windows in an epoch; any number of a window is valid. Default: as many as lie side by side in the stream.
        seed: Seed of the starts, where they are random.
    """

    def __init__(
        self, stream: TokenStream, seq_len: int, characters: np.ndarray, size: int | None = None, seed: int = 0
    ) -> None:
        self.stream, self.seq_len, self.characters, self.seed = stream, seq_len, characters, seed
        self.tiles = max(1, (len(stream) - seq_len) // seq_len)  # that lie side by side from any offset below T on
        self.size = size or self.tiles

    def __len__(self) -> int:
        return self.size

    def starts(self, index: np.ndarray) -> np.ndarray:
        """Where windows start in the stream, from their numbers: (B,) -> (B,)."""
        raise NotImplementedError

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows, dtype=np.int64)
        starts = self.starts(index)
        ids = self.stream.windows(starts, self.seq_len + 1)  # (B, T + 1)
        labels = ids[:, 1:]
        return {
            "input_ids": torch.from_numpy(np.ascontiguousarray(ids[:, :-1])),
            "labels": torch.from_numpy(np.ascontiguousarray(labels)),
            "characters": torch.from_numpy(self.characters[labels].sum(1)),
            "index": torch.from_numpy(index),
        }


class RandomWindows(Windows):
    """Windows that start anywhere, each determined by its number and the seed."""

    def starts(self, index: np.ndarray) -> np.ndarray:
        free = len(self.stream.ids) - self.seq_len
        return (random_uint64(self.seed, index, 1)[:, 0] % np.uint64(free)).astype(np.int64)


class TiledWindows(Windows):
    """Windows side by side in random order, from a random offset below T that differs in each pass over the stream.

    No label comes twice in a pass; fewer than 2T ids, at the two ends, are left out of it. An epoch may be any part of
    a pass: window number k is window k % tiles of pass k // tiles.
    """

    def starts(self, index: np.ndarray) -> np.ndarray:
        passes, tiles = np.divmod(index, self.tiles)
        starts = np.zeros_like(index)
        offsets = min(self.seq_len, len(self.stream.ids) - self.tiles * self.seq_len)
        for number in np.unique(passes):
            here = passes == number
            starts[here] = tiled_starts(self.seed, int(number), self.tiles, self.seq_len, offsets)[tiles[here]]
        return starts


@lru_cache(maxsize=2)  # a batch may lie across two passes
def tiled_starts(seed: int, number: int, tiles: int, seq_len: int, offsets: int) -> np.ndarray:
    """Where the windows of one pass start, in their order (tiles,).

    Args:
        seed: Seed of the offset and the order.
        number: Number of the pass.
        tiles: Windows in a pass.
        seq_len: Length of a window.
        offsets: Number of possible offsets of the first window.
    """
    words = random_uint64(seed, np.array([number]), tiles + 1)[0]
    return int(words[0] % np.uint64(offsets)) + np.argsort(words[1:], kind="stable") * seq_len
