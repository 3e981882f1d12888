"""The translations of a test, put together from all batches and ranks."""

from dataclasses import dataclass
from typing import Any

import torch.distributed
from lightning.pytorch import Trainer


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


class TranslationRows:
    """Collects what ``test_step`` returns (seq_modules.protocols.Translates)."""

    def __init__(self) -> None:
        self._rows: dict[int, Translation] = {}

    def clear(self) -> None:
        """Forgets an earlier test."""
        self._rows = {}

    def add(self, outputs: Any, batch: Any) -> None:
        """Takes a batch and its rows; a system that returns none is left alone."""
        if not isinstance(outputs, list):
            return
        tokens = (batch["source_mask"].sum(1) - 1).tolist()
        for row, count in zip(outputs, tokens, strict=True):
            index = int(row["index"])
            self._rows[index] = Translation(index, row["source"], row["reference"], row["translation"], int(count))

    def gathered(self, trainer: Trainer) -> list[Translation]:
        """The rows of all ranks by index, each once. Every rank must call it."""
        parts: list[Any] = [self._rows]
        if trainer.world_size > 1:
            parts = [None] * trainer.world_size
            torch.distributed.all_gather_object(parts, self._rows)
        joined = {index: row for part in parts for index, row in part.items()}
        return [joined[index] for index in sorted(joined)]
