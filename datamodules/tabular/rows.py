"""Rows of numbers as a data set, and how they are split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.loading.batch_dataset import Batch, BatchDataset
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import MOST_SEED, check_range


@dataclass(frozen=True)
class TabularSplit:
    """Test rows, and validation rows among the others.

    Attributes:
        test_fraction: Fraction of all rows for the test, above 0 and below 1.
        val_fraction: Fraction of the rows that are left for validation, above 0 and below 1.
        seed: Seed of both; runs of different seeds (``--seed_everything``) share the split.

    Raises:
        UserError: A value is out of its range.
    """

    test_fraction: float = 0.2
    val_fraction: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("split.test_fraction", self.test_fraction, above=0, below=1)
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.seed", self.seed, least=0, most=MOST_SEED)

    def parts(self, size: int) -> dict[str, np.ndarray]:
        """Numbers of the rows of "train", "val" and "test".

        Raises:
            UserError: A part would be empty.
        """
        order = np.random.default_rng(self.seed).permutation(size)
        test = round(self.test_fraction * size)
        val = round(self.val_fraction * (size - test))
        parts = {"test": order[:test], "val": order[test : test + val], "train": order[test + val :]}
        for name, rows in parts.items():
            if not len(rows):
                raise UserError(f"split leaves no row for {name}, of {size} rows; give more rows, or other fractions")
        return parts


class Rows(BatchDataset):
    """Rows of numbers.

    Args:
        features: (N, D) numbers.
        labels: Classes (N,); None where they are not known.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray | None = None) -> None:
        self.features = torch.from_numpy(features.astype(np.float32))
        self.labels: Tensor | None = None if labels is None else torch.from_numpy(labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.features)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = torch.tensor(rows)
        batch = {"features": self.features[index], "index": index}
        return batch if self.labels is None else batch | {"labels": self.labels[index]}
