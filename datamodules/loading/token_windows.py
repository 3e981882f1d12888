"""Windows of a long token stream, a whole batch by one gather: at random or tiled for training, in order to evaluate.

A window at s reads the ids s ... s+T-1 and is asked for s+1 ... s+T. The first id of a stream is therefore never asked
for. T is the window's length, N the stream's, B the batch size.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.loading.counters import random_words
from datamodules.loading.streams import TokenStream
from seqlight.core.labels import IGNORED

Batch = dict[str, Tensor]


class Windows(Dataset):
    """Base: batches of windows, from where they start and which of their labels count.

    Args:
        stream: The ids.
        seq_len: Length T of a window.
        characters: Characters that each id stands for (V,).
    """

    def __init__(self, stream: TokenStream, seq_len: int, characters: np.ndarray) -> None:
        self.stream, self.seq_len, self.characters = stream, seq_len, characters

    def _batch(self, starts: np.ndarray, index: np.ndarray, first: np.ndarray | None = None) -> Batch:
        """Windows from ``starts`` (B,); labels within the stream count, from place ``first`` (B,) on (default 0)."""
        ids = self.stream.windows(starts, self.seq_len + 1)  # (B, T + 1)
        inputs, labels = ids[:, :-1], ids[:, 1:]
        counted = self.characters[labels]
        last = len(self.stream.ids) - 1 - starts  # places of the window that have a label
        if first is not None or last.min(initial=self.seq_len) < self.seq_len:
            places = np.arange(self.seq_len)
            here = places < last[:, None]
            inputs = np.where(here, inputs, 0)
            here &= places >= (0 if first is None else first[:, None])
            labels, counted = np.where(here, labels, IGNORED), counted * here
        return {
            "input_ids": torch.from_numpy(np.ascontiguousarray(inputs)),
            "labels": torch.from_numpy(np.ascontiguousarray(labels)),
            "characters": torch.from_numpy(counted.sum(1)),
            "index": torch.from_numpy(index),
        }

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """A whole batch at once: ``input_ids``, ``labels`` (B, T), ``characters`` and ``index`` (B,)."""
        raise NotImplementedError

    def __getitem__(self, row: int) -> Batch:
        return {name: value[0] for name, value in self.__getitems__([row]).items()}


class TrainWindows(Windows):
    """Windows of which each follows from its number; any number may be asked for, and all labels count.

    Args:
        stream: The ids, at least T + 1.
        seq_len: Length T of a window.
        characters: Characters that each id stands for (V,).
        crops: ``random``: each window starts anywhere. ``tiled``: the windows of a pass lie side by side from a random
            offset below T, in random order, so that nothing is asked for twice before the whole text was (but for
            fewer than 2T ids at its two ends, which are others in each pass).
        size: Windows in an epoch; by default as many as tile the text.
        seed: What offsets, orders and random starts depend on.
    """

    def __init__(
        self,
        stream: TokenStream,
        seq_len: int,
        characters: np.ndarray,
        crops: Literal["random", "tiled"],
        size: int | None,
        seed: int,
    ) -> None:
        super().__init__(stream, seq_len, characters)
        self.tiles = max(1, (len(stream) - seq_len) // seq_len)
        self.crops, self.size, self.seed = crops, size or self.tiles, seed
        self._passes: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        if self.crops == "random":
            free = len(self.stream.ids) - self.seq_len
            starts = (random_words(self.seed, index, 1)[:, 0] % np.uint64(free)).astype(np.int64)
        else:
            passes, places = np.divmod(index, self.tiles)
            starts = np.zeros_like(index)
            for number in np.unique(passes):
                here = passes == number
                starts[here] = self._starts(int(number))[places[here]]
        return self._batch(starts, index)

    def _starts(self, number: int) -> np.ndarray:
        """Where the windows of a pass over the text start, in their order (tiles,)."""
        key = (self.seed, number)
        if key not in self._passes:
            words = random_words(self.seed, np.array([number]), self.tiles + 1)[0]
            spare = min(self.seq_len, len(self.stream.ids) - self.tiles * self.seq_len)  # offsets that there are
            offset = int(words[0] % np.uint64(spare))
            while len(self._passes) >= 2:  # a batch may lie across two
                self._passes.pop(next(iter(self._passes)))
            self._passes[key] = offset + np.argsort(words[1:], kind="stable") * self.seq_len
        return self._passes[key]


class EvalWindows(Windows):
    """Windows in order, each label of the stream counted exactly once.

    Args:
        stream: The ids, at least T + 1.
        seq_len: Length T of a window.
        characters: Characters that each id stands for (V,).
        stride: Distance between windows, 1 to T, by default T (side by side). Of each but the first only the last
            ``stride`` labels count, so that they have a context of at least T - stride ids. The last window may be
            short; it is filled up with ids 0, whose labels are -100.
    """

    def __init__(self, stream: TokenStream, seq_len: int, characters: np.ndarray, stride: int | None = None) -> None:
        super().__init__(stream, seq_len, characters)
        self.stride = stride or seq_len

    def __len__(self) -> int:
        labels = len(self.stream) - 1
        return 1 + -(-max(0, labels - self.seq_len) // self.stride)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        return self._batch(index * self.stride, index, np.where(index == 0, 0, self.seq_len - self.stride))


class RandomEvalWindows(Windows):
    """Some full windows from anywhere, the same in every run: nanoGPT's estimate of the loss.

    Args:
        stream: The ids, at least T + 1.
        seq_len: Length T of a window.
        characters: Characters that each id stands for (V,).
        size: Number of windows.
        seed: Which ones.
    """

    def __init__(self, stream: TokenStream, seq_len: int, characters: np.ndarray, size: int, seed: int) -> None:
        super().__init__(stream, seq_len, characters)
        self.size, self.seed = size, seed

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        free = np.uint64(len(self.stream.ids) - self.seq_len)
        return self._batch((random_words(self.seed, index, 1)[:, 0] % free).astype(np.int64), index)
