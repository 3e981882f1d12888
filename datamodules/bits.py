"""Strings of bits with their running parity: random ones, and those that a user gives."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counter_rng import random_uint64
from seqlight.core.errors import UserError
from seqlight.core.labels import IGNORED

Density = Literal["half", "any"]


def parity_batch(bits: np.ndarray, lengths: np.ndarray, index: np.ndarray) -> Batch:
    """Bits (B, T) and true lengths (B,) -> ``input_ids``, ``attention_mask``, ``labels`` (B, T) and ``index`` (B,)."""
    mask = np.arange(bits.shape[1]) < lengths[:, None]
    labels = np.where(mask, np.cumsum(bits, axis=1) % 2, IGNORED)
    return {
        "input_ids": torch.from_numpy(np.where(mask, bits, 0).astype(np.int64)),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels.astype(np.int64)),
        "index": torch.from_numpy(index.astype(np.int64)),
    }


class RandomBits(BatchDataset):
    """Random bit strings, each determined by its number and the seed. A batch is padded to its longest string.

    Args:
        size: Rows in an epoch; any number of a row is valid.
        min_length: Shortest length.
        max_length: Longest length; lengths are uniform between the two, both included. May change between epochs.
        seed: Seed of the rows.
        density: "half": each bit is 1 with probability one half; "any": with a probability that is drawn for each row,
            uniform from 0 to 1, so that long runs of equal bits are frequent.
    """

    def __init__(self, size: int, min_length: int, max_length: int, seed: int, density: Density = "half") -> None:
        self.size, self.min_length, self.max_length, self.seed = size, min_length, max_length, seed
        self.density = density

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows)
        words = -(-self.max_length // (64 if self.density == "half" else 8))
        random = random_uint64(self.seed, index, 1 + words)
        span = self.max_length - self.min_length + 1
        lengths = self.min_length + (random[:, 0] >> np.uint64(32)).astype(np.int64) * span // 2**32
        drawn = np.ascontiguousarray(random[:, 1:]).view(np.uint8)
        if self.density == "half":
            bits = np.unpackbits(drawn, axis=1)
        else:  # a byte for each bit, against the first word's low byte
            bits = (drawn < (random[:, :1] & np.uint64(255))).astype(np.uint8)
        bits = bits[:, : lengths.max()]
        return parity_batch(bits, lengths, index)


class GivenBits(BatchDataset):
    """Bit strings from the user, such as ``["0110", "1"]``.

    Raises:
        UserError: There are none, or one holds something other than 0 and 1.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        if not strings:
            raise UserError('data.bits: the list is empty; give strings of 0 and 1, such as ["0110"]')
        for row, string in enumerate(strings, start=1):
            if not string or set(string) - {"0", "1"}:
                raise UserError(
                    f"data.bits: string {row} is {string!r}; a bit string holds 0 and 1 only, such as '0110'"
                )
        self.strings = list(strings)

    def __len__(self) -> int:
        return len(self.strings)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows)
        lengths = np.array([len(self.strings[row]) for row in rows])
        bits = np.zeros((len(rows), lengths.max()), dtype=np.int64)
        for i, row in enumerate(rows):
            bits[i, : lengths[i]] = [int(bit) for bit in self.strings[row]]
        return parity_batch(bits, lengths, index)
