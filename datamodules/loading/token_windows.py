"""Windows of a long token stream, a whole batch by one gather.

A window that starts at s has the ids s ... s+T-1 as inputs and s+1 ... s+T as labels. Letters: T length of a window,
N of the stream, B batch size, V size of the vocabulary.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counters import random_words
from datamodules.loading.streams import TokenStream
from seqlight.core.labels import IGNORED


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

    def counted(self, index: np.ndarray, starts: np.ndarray) -> np.ndarray | None:
        """Which labels count, (B, T); None for all. The others become -100."""
        return None

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows, dtype=np.int64)
        starts = self.starts(index)
        ids = self.stream.windows(starts, self.seq_len + 1)  # (B, T + 1)
        labels = ids[:, 1:]
        characters = self.characters[labels]
        counted = self.counted(index, starts)
        if counted is not None:
            labels, characters = np.where(counted, labels, IGNORED), characters * counted
        return {
            "input_ids": torch.from_numpy(np.ascontiguousarray(ids[:, :-1])),
            "labels": torch.from_numpy(np.ascontiguousarray(labels)),
            "characters": torch.from_numpy(characters.sum(1)),
            "index": torch.from_numpy(index),
        }


class RandomWindows(Windows):
    """Windows that start anywhere, each determined by its number and the seed."""

    def starts(self, index: np.ndarray) -> np.ndarray:
        free = len(self.stream.ids) - self.seq_len
        return (random_words(self.seed, index, 1)[:, 0] % np.uint64(free)).astype(np.int64)


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
    words = random_words(seed, np.array([number]), tiles + 1)[0]
    return int(words[0] % np.uint64(offsets)) + np.argsort(words[1:], kind="stable") * seq_len


class OrderedWindows(Windows):
    """Windows in order, in which each label of the stream counts exactly once.

    Args:
        stream: The ids, at least T + 1.
        seq_len: Length T of a window.
        characters: Number of characters that each id stands for (V,).
        stride: Distance between the starts of windows, 1 to T. Default: T (side by side). Of each window but the first
            only the last ``stride`` labels count, so that each has a context of at least T - stride ids. The last
            window may reach beyond the stream, where its labels are -100.
    """

    def __init__(self, stream: TokenStream, seq_len: int, characters: np.ndarray, stride: int | None = None) -> None:
        self.stride = stride or seq_len
        size = 1 + -(-max(0, len(stream) - 1 - seq_len) // self.stride)
        super().__init__(stream, seq_len, characters, size)

    def starts(self, index: np.ndarray) -> np.ndarray:
        return index * self.stride

    def counted(self, index: np.ndarray, starts: np.ndarray) -> np.ndarray:
        places = np.arange(self.seq_len)
        first = np.where(index == 0, 0, self.seq_len - self.stride)
        end = len(self.stream) - 1 - starts  # places of the window that have a label
        return (places >= first[:, None]) & (places < end[:, None])
