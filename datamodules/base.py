"""What every datamodule shares: loaders that resume at any batch and split the rows over ranks themselves."""

import math
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, default_convert

from datamodules.loading.batches import Batches, EpochBatches, RankRows, ResumableLoader
from datamodules.loading.file_prints import file_prints
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import MOST_SEED, check_range, save_hyperparameters

MOST_WORKERS = 256  # more would be a mistyped number, or a spoiled checkpoint's, and starve the machine


class SequenceDataModule(LightningDataModule):
    """Base of the datamodules.

    A subclass assigns ``train_set``, ``val_set``, ``test_set`` and ``predict_set`` in its ``setup``, each a
    :class:`datamodules.loading.batch_dataset.BatchDataset`; the last three may be missing. A batch has the rows'
    numbers as ``index``, by which predictions are put back in order.

    Args:
        batch_size: Rows in a batch of one process, at least 1.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training data's order, at least 0. Default: the run's seed (``--seed_everything``). Validation
            and test data never depend on it.

    Attributes:
        new_rows_each_epoch: True if training rows are generated from their number and from the data set's ``seed``, so
            that each epoch takes new numbers. False if each epoch shuffles the same rows.

    Raises:
        UserError: A value is out of its range.
    """

    save_hyperparameters = save_hyperparameters  # with groups of arguments as plain dicts
    new_rows_each_epoch = False

    def __init__(self, batch_size: int, num_workers: int = 0, seed: int | None = None) -> None:
        super().__init__()
        check_range("batch_size", batch_size, least=1)
        check_range("num_workers", num_workers, least=0, most=MOST_WORKERS)
        check_range("seed", seed, least=0, most=MOST_SEED)
        self.batch_size, self.num_workers = batch_size, num_workers
        self._seed_is_given = seed is not None
        self.seed = torch.initial_seed() % 2**31 if seed is None else seed
        self.train_set: Any = None
        self.val_set: Any = None
        self.test_set: Any = None
        self.predict_set: Any = None
        self._loader: ResumableLoader | None = None
        self._resume_at: tuple[int, int] | None = None  # epoch, rows of all ranks done in it

    def setup(self, stage: str) -> None:
        """Lightning calls this before each stage. A fit starts at epoch 0 unless a checkpoint is loaded next."""
        if stage == "fit":
            self._loader, self._resume_at = None, None

    def _ranks(self) -> dict[str, int]:
        trainer = self.trainer
        return {"num_replicas": trainer.world_size, "rank": trainer.global_rank} if trainer is not None else {}

    def train_batches(self) -> Batches:
        """The rows of each training batch; a subclass may batch them by length."""
        return EpochBatches(
            len(self.train_set),
            self.batch_size,
            seed=self.seed,
            new_rows_each_epoch=self.new_rows_each_epoch,
            **self._ranks(),
        )

    def train_dataloader(self) -> DataLoader:
        """Training batches, from the checkpoint's position on."""
        if self.new_rows_each_epoch:
            self.train_set.seed = self.seed  # the checkpoint's, if one was loaded after setup
        batches = self.train_batches()
        position = self._loader.position if self._loader is not None else (0, 0)
        if self._resume_at is not None:
            position, self._resume_at = self._position(batches, *self._resume_at), None
        self._loader = ResumableLoader(
            self.train_set,
            batches,
            position,
            repeat=self.trainer is not None and self.trainer.overfit_batches > 0,  # type: ignore[attr-defined]
            num_workers=self.num_workers,
        )
        return self._loader

    def val_dataloader(self) -> DataLoader:
        """Each validation row once."""
        return self._eval_loader(self.val_set)

    def test_dataloader(self) -> DataLoader:
        """Each test row once."""
        return self._eval_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        """Each row to predict. A rank without rows repeats one; the writer of predictions keeps one copy."""
        return self._eval_loader(self.predict_set, may_repeat=True)

    def _eval_loader(self, dataset: Any, may_repeat: bool = False) -> DataLoader:
        if dataset is None:
            raise UserError(f"{type(self).__name__} has no data for this command")
        size, ranks = len(dataset), self._ranks()
        if size < ranks.get("num_replicas", 1) and not may_repeat:
            raise UserError(
                f"{size} rows are fewer than the {ranks['num_replicas']} processes; use fewer --trainer.devices"
            )
        # All by keyword: for predict, Lightning builds the loader anew from these names.
        return DataLoader(
            dataset=dataset,
            batch_size=self.batch_size,
            sampler=RankRows(size, **ranks),
            num_workers=self.num_workers,
            collate_fn=default_convert,  # the data set has made a batch
            generator=torch.Generator(),
        )

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: the seed, the epoch, and the number of rows that all ranks have taken in it."""
        if self._loader is None:
            return {"seed": self.seed}
        epoch, done = self.from_epoch_end(self._loader.position)
        return {"epoch": epoch, "rows": self._loader.batches.rows_before(epoch, done), "seed": self.seed}

    def _position(self, batches: Batches, epoch: int, rows: int) -> tuple[int, int]:
        """Epoch, and number of its batches that are done after so many rows; an epoch that is done is the next one."""
        done = batches.batch_after(epoch, rows)
        return (epoch + 1, 0) if done >= len(batches) else (epoch, done)

    def resumed_batches(self) -> int | None:
        """Batches that are done of the epoch in which a checkpoint was saved; None if none was loaded.

        The batch size may be another than it was: the batch that begins at or before the checkpoint's row comes next.
        """
        return None if self._resume_at is None else self._position(self.train_batches(), *self._resume_at)[1]

    def file_prints(self) -> dict[str, str]:
        """What the files held that options name, such as ``path``, when this was first called: 12 hex digits each."""
        return self._file_prints

    @cached_property
    def _file_prints(self) -> dict[str, str]:
        return file_prints(dict(self.hparams))

    def from_epoch_end(self, position: tuple[int, int]) -> tuple[int, int]:
        """A position, an epoch and its batches that are done; after the epoch's last batch, that of the next epoch."""
        epoch, done = position
        batches: float = math.inf if self.trainer is None else self.trainer.num_training_batches
        return (epoch + 1, 0) if done >= batches else (epoch, done)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over a checkpoint's position. Lightning calls this after ``setup`` and before it makes the loaders."""
        if not self._seed_is_given:
            self.seed = state["seed"]
        self._resume_at = (state["epoch"], state["rows"]) if "epoch" in state else None
