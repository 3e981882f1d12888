"""Which rows a batch holds: the same for a seed whatever the number of ranks and workers, from any batch on.

Two rules hold for all loaders. This is why ``configs/trainer/defaults.yaml`` says ``use_distributed_sampler: false``:

* A *global* batch is the rows of all ranks together. Rank r of W takes every W-th row of it, from row r on. Two
  processes with batch size B therefore train on the same rows as one process with 2B.
* The order of an epoch depends on the seed and the epoch's number alone, so that training can resume at any batch.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler, SequentialSampler, default_convert

from datamodules.loading.batch_dataset import BatchDataset


class Batches(Sampler[list[int]]):
    """Row numbers of each training batch of one rank.

    Attributes:
        epoch: Epoch of the next iteration; set by the loader.
        start: Its first batch; set by the loader.
    """

    epoch = 0
    start = 0

    def __len__(self) -> int:
        raise NotImplementedError

    def rows_before(self, epoch: int, batch: int) -> int:
        """Rows of all ranks in an epoch's first ``batch`` batches."""
        raise NotImplementedError

    def batch_after(self, epoch: int, rows: int) -> int:
        """Number of an epoch's batches that are done after so many rows of all ranks."""
        raise NotImplementedError


class EpochBatches(Batches):
    """Row numbers of each training batch of one rank: as many rows in each, in random order.

    A last global batch with fewer rows than ranks is left out, since a rank without rows could not take part in the
    exchange of gradients. Any other last batch is divided as evenly as possible.

    Args:
        size: Rows in an epoch, over all ranks.
        batch_size: Rows in a batch of one rank.
        seed: Seed of the order.
        new_rows_each_epoch: Continue the row numbers from epoch to epoch (``epoch * size + i``) instead of shuffling
            0..size-1: for rows that are generated from their number and never repeat.
        num_replicas: Number of ranks.
        rank: Number of this rank.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        new_rows_each_epoch: bool = False,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.size, self.batch_size, self.seed, self.new_rows_each_epoch = size, batch_size, seed, new_rows_each_epoch
        self.num_replicas, self.rank = num_replicas, rank

    @property
    def global_size(self) -> int:
        """Rows of a batch over all ranks."""
        return self.batch_size * self.num_replicas

    def __len__(self) -> int:
        full, rest = divmod(self.size, self.global_size)
        return full + (rest >= self.num_replicas)

    def __iter__(self) -> Iterator[list[int]]:
        if self.new_rows_each_epoch:
            order = torch.arange(self.epoch * self.size, (self.epoch + 1) * self.size)
        else:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
            order = torch.randperm(self.size, generator=generator)
        for first in range(self.start * self.global_size, len(self) * self.global_size, self.global_size):
            yield order[first + self.rank : first + self.global_size : self.num_replicas].tolist()

    def rows_before(self, epoch: int, batch: int) -> int:
        """See :class:`Batches`."""
        return batch * self.global_size

    def batch_after(self, epoch: int, rows: int) -> int:
        """See :class:`Batches`."""
        return min(rows // self.global_size, len(self))


class RankRows(SequentialSampler):
    """Every row exactly once over all ranks, in order: for validation, test and prediction.

    torch's DistributedSampler repeats rows so that all ranks have the same number of them, which changes every mean.
    This is a SequentialSampler by name so that Lightning's ``overfit_batches`` knows that nothing is shuffled.
    """

    def __init__(self, size: int, num_replicas: int = 1, rank: int = 0) -> None:
        # A rank without rows repeats one: Lightning would skip it, and the other ranks would wait for it.
        self.rows = range(rank, size, num_replicas) if rank < size else range(rank % size, rank % size + 1)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self.rows)


class ResumableLoader(DataLoader):
    """A DataLoader over :class:`Batches` that knows its position and can start at one.

    torchdata's StatefulDataLoader is no substitute: it loses the position if ``estimated_stepping_batches`` is read
    first, has to be told the epoch, and cannot resume with another number of workers or another batch size.

    Args:
        dataset: Rows by number.
        batches: The rows of each batch.
        position: Epoch and number of its batches done, to start at.
        repeat: Repeat epoch 0 (the Trainer's ``overfit_batches``).
        kwargs: DataLoader's own (``num_workers`` ...).
    """

    def __init__(
        self,
        dataset: BatchDataset,
        batches: Batches,
        position: tuple[int, int] | None = None,
        repeat: bool = False,
        **kwargs: Any,
    ) -> None:
        # A generator of its own: iterating must not draw from the global one, or a resumed run would differ.
        # The data set makes the batches: there is nothing to collate.
        super().__init__(
            dataset, batch_sampler=batches, collate_fn=default_convert, generator=torch.Generator(), **kwargs
        )
        self.batches, self.repeat = batches, repeat
        self._next = position or (0, 0)
        self.position = self._next

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """The next epoch's batches. An iterator from which no batch is drawn takes no epoch.

        Lightning makes such a one where nothing of an epoch is left but its validation.
        """
        epoch, done = self._next
        if done >= len(self.batches):
            epoch, done = epoch + 1, 0
        # Lightning stops after the last batch and never exhausts the iterator: the next epoch is set here.
        self._next = (epoch + 1, 0)
        self.position = (epoch, done)
        self.batches.epoch, self.batches.start = (0, 0) if self.repeat else (epoch, done)
        for batch in super().__iter__():
            self.position = (self.position[0], self.position[1] + 1)
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The position. The datamodule saves it; to Lightning the method's presence says that this loader resumes."""
        epoch, done = self.position
        return {"epoch": epoch, "batch": done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Does nothing: the datamodule has given the position to the constructor."""
