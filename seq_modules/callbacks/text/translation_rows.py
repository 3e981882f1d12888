"""The translations of a test, put together from all batches and ranks."""

from dataclasses import dataclass
from typing import Any

import torch.distributed
from lightning.pytorch import Callback, LightningModule, Trainer


@dataclass(frozen=True)
class Translation:
    """A test sentence and what the model made of it.

    Attributes:
        index: Its number in the test set.
        source: The text that was translated.
        reference: The right translation.
        hypothesis: The model's translation.
        source_tokens: How many tokens the source has for the model, without eos.
    """

    index: int
    source: str
    reference: str
    hypothesis: str
    source_tokens: int


class TranslationCallback(Callback):
    """Base of the callbacks that read all translations of a test, of every batch and rank.

    They come from the rows that ``test_step`` returns (seq_modules.protocols.systems.Translates); with a system that
    returns none, nothing happens.
    """

    def __init__(self) -> None:
        self._rows: dict[int, Translation] = {}

    def use(self, trainer: Trainer, pl_module: LightningModule, rows: list[Translation]) -> None:
        """Called on rank 0 with the translations, one at least, in the order of the test set, each once."""
        raise NotImplementedError

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test."""
        self._rows = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps a batch's translations."""
        if not isinstance(outputs, list):
            return
        tokens = (batch["source_mask"].sum(1) - 1).tolist()
        for row, count in zip(outputs, tokens, strict=True):
            index = int(row["index"])
            self._rows[index] = Translation(index, row["source"], row["reference"], row["translation"], int(count))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the translations of all ranks together."""
        rows = self.gathered(trainer)
        if rows and trainer.is_global_zero:
            self.use(trainer, pl_module, rows)

    def gathered(self, trainer: Trainer) -> list[Translation]:
        """The translations of all ranks. Every rank must call it."""
        parts: list[Any] = [self._rows]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, self._rows)
        joined = {index: row for part in parts for index, row in part.items()}
        return [joined[index] for index in sorted(joined)]
