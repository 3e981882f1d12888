"""What datamodules of random strings share: lengths, sizes, and sets that never hold the same rows."""

from datamodules.base import SequenceDataModule
from datamodules.loading.batch_dataset import Batch, BatchDataset
from seqlight.core.hyperparameters import check_range


class GeneratedStringsDataModule(SequenceDataModule):
    """Strings of varied length that are made from their number. A subclass writes :meth:`make`.

    Args:
        batch_size: Strings in a batch of one process.
        min_length: Shortest length in training and validation, at least 1.
        max_length: Longest length in training and validation.
        train_size: Strings in an epoch of training.
        val_size: Strings in the validation set.
        test_min_length: Shortest length in the test set.
        test_max_length: Longest length in the test set.
        test_size: Strings in the test set.
        num_workers: Processes that prepare batches.
        seed: Seed of the training strings. Default: the run's seed.

    Raises:
        UserError: A value is out of its range.
    """

    new_rows_each_epoch = True
    VAL_SEED, TEST_SEED, EXTRA_SEED = 2**40 + 1, 2**40 + 2, 2**40 + 3  # beyond any seed of a run

    def __init__(
        self,
        batch_size: int,
        min_length: int,
        max_length: int,
        train_size: int,
        val_size: int,
        test_min_length: int,
        test_max_length: int,
        test_size: int,
        num_workers: int,
        seed: int | None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        for name, low, high in (("", min_length, max_length), ("test_", test_min_length, test_max_length)):
            check_range(f"{name}min_length", low, least=1)
            check_range(f"{name}max_length", high, least=low)
        for name, size in (("train_size", train_size), ("val_size", val_size), ("test_size", test_size)):
            check_range(name, size, least=1)
        self.train_set = self.make(train_size, min_length, max_length, self.seed)
        self.val_set = self.make(val_size, min_length, max_length, self.VAL_SEED)
        self.test_set = self.make(test_size, test_min_length, test_max_length, self.TEST_SEED)

    def make(self, size: int, min_length: int, max_length: int, seed: int) -> BatchDataset:
        """A data set of so many rows with uniform lengths; it reads its ``max_length`` anew at each batch."""
        raise NotImplementedError

    @property
    def train_max_length(self) -> int:
        """Longest training length. LengthCurriculum sets it between epochs; validation keeps its own."""
        return self.train_set.max_length

    @train_max_length.setter
    def train_max_length(self, length: int) -> None:
        self.train_set.max_length = length

    def sequences(self, length: int, count: int, first: int = 0) -> Batch:
        """``count`` strings of one length that no other set holds, for measurements beyond the test set."""
        rows = self.make(count, length, length, self.EXTRA_SEED + length)
        return rows.__getitems__(range(first, first + count))
