"""What every datamodule shares: loaders that resume, are split over ranks by us, and draw no global random numbers."""

from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from datamodules.loading.batches import EpochBatches, RankRows, ResumableLoader
from seqlight.core.errors import UserError


class SequenceDataModule(LightningDataModule):
    """Base of the datamodules.

    A subclass assigns ``train_set``, ``val_set``, ``test_set`` and ``predict_set`` in its ``setup`` (each a map-style
    data set; the last three may be missing) and may override :meth:`collate`. Rows carry their number as ``index``, by
    which predictions find their order again.

    Args:
        batch_size: Rows in a batch of one process, at least 1.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training data's order. By default the run's own (``--seed_everything``). Validation and test
            data never depend on it.
    """

    fresh_rows = False  # True: rows are generated from their number, and each epoch takes new numbers

    def __init__(self, batch_size: int, num_workers: int = 0, seed: int | None = None) -> None:
        super().__init__()
        if batch_size < 1:
            raise UserError(f"batch_size must be at least 1, not {batch_size}")
        if num_workers < 0:
            raise UserError(f"num_workers must be 0 or more, not {num_workers}")
        self.batch_size, self.num_workers = batch_size, num_workers
        if seed is not None and seed < 0:
            raise UserError(f"seed must be 0 or more, not {seed}")
        self._seed_is_given = seed is not None
        self.seed = torch.initial_seed() % 2**31 if seed is None else seed
        self.train_set: Dataset | None = None
        self.val_set: Dataset | None = None
        self.test_set: Dataset | None = None
        self.predict_set: Dataset | None = None
        self._loader: ResumableLoader | None = None
        self._position: tuple[int, int] | None = None

    def collate(self, rows: Any) -> Any:
        """A batch from its rows; by default the data set gives whole batches itself (``__getitems__``)."""
        return rows

    def setup(self, stage: str) -> None:
        """Called by Lightning before each stage; a new fit begins at its first epoch unless a checkpoint says else."""
        if stage == "fit":
            self._loader, self._position = None, None

    def _ranks(self) -> dict[str, int]:
        trainer = self.trainer
        return {"num_replicas": trainer.world_size, "rank": trainer.global_rank} if trainer is not None else {}

    def train_dataloader(self) -> DataLoader:
        """Training batches, from where the checkpoint left off."""
        assert self.train_set is not None, "setup('fit') assigns train_set"
        size = len(self.train_set)  # type: ignore[arg-type]
        batches = EpochBatches(size, self.batch_size, seed=self.seed, fresh=self.fresh_rows, **self._ranks())
        position, self._position = self._position, None
        if position is not None:
            position = (position[0], position[1] // (self.batch_size * batches.num_replicas))
        elif self._loader is not None:
            position = self._loader.position
        self._loader = ResumableLoader(
            self.train_set,
            batches,
            position,
            repeat=self.trainer is not None and self.trainer.overfit_batches > 0,  # type: ignore[attr-defined]
            num_workers=self.num_workers,
            collate_fn=self.collate,
        )
        return self._loader

    def val_dataloader(self) -> DataLoader:
        """Each validation row once."""
        return self._eval_loader(self.val_set)

    def test_dataloader(self) -> DataLoader:
        """Each test row once."""
        return self._eval_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        """Each row to predict; a rank without any repeats one, which the writer keeps once."""
        return self._eval_loader(self.predict_set, may_repeat=True)

    def _eval_loader(self, dataset: Dataset | None, may_repeat: bool = False) -> DataLoader:
        if dataset is None:
            raise UserError(f"{type(self).__name__} has no data for this command")
        size, ranks = len(dataset), self._ranks()  # type: ignore[arg-type]
        if size < ranks.get("num_replicas", 1) and not may_repeat:
            raise UserError(
                f"{size} rows are fewer than the {ranks['num_replicas']} processes; use fewer --trainer.devices"
            )
        rows = RankRows(size, **ranks)
        # All by keyword: for predict, Lightning builds the loader anew from these names.
        return DataLoader(
            dataset=dataset,
            batch_size=self.batch_size,
            sampler=rows,
            num_workers=self.num_workers,
            collate_fn=self.collate,
            generator=torch.Generator(),
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """As Lightning's; on the CPU, where batches are made, it does not even look at them."""
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def state_dict(self) -> dict[str, int]:
        """Position in the training data, in rows of all ranks, and its seed; for the checkpoint."""
        if self._loader is None:
            return {"seed": self.seed}
        epoch, done = self._loader.position
        rows = done * self.batch_size * self._loader.batches.num_replicas
        return {"epoch": epoch, "rows": rows, "seed": self.seed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Takes the position up; called by Lightning before the loaders and the optimisers are made."""
        if not self._seed_is_given:
            self.seed = state["seed"]
        self._position = (state["epoch"], state["rows"]) if "epoch" in state else None
