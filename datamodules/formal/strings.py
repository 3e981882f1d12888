"""Rows of a formal task, each determined by its number and the seed."""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.formal.tasks import FormalTask, draw
from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counter_rng import random_uint64
from seqlight.core.errors import UserError


def formal_batch(task: FormalTask, symbols: np.ndarray, lengths: np.ndarray, index: np.ndarray) -> Batch:
    """Strings (B, n) of lengths (B,) -> ``input_ids``, ``attention_mask``, ``labels`` (B, T) and ``index`` (B,)."""
    inputs, true, labels = task.read(symbols, lengths)
    return {
        "input_ids": torch.from_numpy(inputs),
        "attention_mask": torch.from_numpy(np.arange(inputs.shape[1]) < true[:, None]),
        "labels": torch.from_numpy(labels),
        "index": torch.from_numpy(index.astype(np.int64)),
    }


class RandomStrings(BatchDataset):
    """Random strings of a task. A batch is padded to its longest string.

    Where not every length makes sense, such as that of an expression that ends in an operator, the next shorter one
    is taken, as in Delétang et al. (2023).

    Args:
        task: What is drawn and asked.
        size: Rows in an epoch; any number of a row is valid.
        min_length: Shortest length.
        max_length: Longest length; lengths are uniform between the two, both included. May change between epochs.
        seed: Seed of the rows.
    """

    def __init__(self, task: FormalTask, size: int, min_length: int, max_length: int, seed: int) -> None:
        self.task, self.size, self.min_length, self.max_length, self.seed = task, size, min_length, max_length, seed

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows)
        words = random_uint64(self.seed, index, 1 + self.max_length)
        span = self.max_length - self.min_length + 1
        lengths = self.min_length + (words[:, 0] >> np.uint64(32)).astype(np.int64) * span // 2**32
        lengths -= (lengths - 1) % len(self.task.places)
        symbols = draw(self.task.places, self.task.alphabet, words[:, 1 : 1 + lengths.max()])
        return formal_batch(self.task, symbols, lengths, index)


class GivenStrings(BatchDataset):
    """Strings from the user, such as ``["0110", "1"]``.

    Raises:
        UserError: There are none, or one is no string of the task.
    """

    def __init__(self, task: FormalTask, strings: Sequence[str]) -> None:
        self.task, self.strings = task, list(strings)
        if not strings:
            raise UserError(f"data.strings: the list is empty; give strings such as {task.examples[-1]!r}")
        places = len(task.places)
        for row, string in enumerate(strings, start=1):
            allowed = all(symbol in task.places[place % places] for place, symbol in enumerate(string))
            if not string or not allowed or (len(string) - 1) % places:
                raise UserError(
                    f"data.strings: string {row} is {string!r}; the task wants such as {task.examples[-1]!r}, of the "
                    f"symbols {task.alphabet}"
                )

    def __len__(self) -> int:
        return len(self.strings)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        lengths = np.array([len(self.strings[row]) for row in rows])
        symbols = np.zeros((len(rows), lengths.max()), dtype=np.int64)
        for i, row in enumerate(rows):
            symbols[i, : lengths[i]] = [self.task.alphabet.index(symbol) for symbol in self.strings[row]]
        return formal_batch(self.task, symbols, lengths, np.asarray(rows))
