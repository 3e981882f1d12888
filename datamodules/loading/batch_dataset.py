"""Data sets that make a whole batch at once, which is many times faster than row by row."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

Batch = dict[str, Any]  # name -> tensor or list, with one entry a row


class BatchDataset(Dataset):
    """Base of map-style data sets: a subclass defines ``__len__`` and ``__getitems__``."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The batch of these rows, in this order. torch's DataLoader calls this where it exists."""
        raise NotImplementedError

    def __getitem__(self, row: int) -> Batch:
        return {name: value[0] for name, value in self.__getitems__([row]).items()}
