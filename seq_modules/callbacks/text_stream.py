"""A prediction's text in the terminal, as it comes."""

import sys
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class TextStream(Callback):
    """Prints the continuations of ``predict`` while they grow, one prompt after the other.

    The first prompt that is not finished is shown as it grows; the others wait for their turn. In a terminal alone, and
    only where one process predicts.
    """

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.prompts: dict[int, str] = {}
        self.shown: tuple[int, int] | None = None  # the row on the screen, and how many of its characters

    @staticmethod
    def wanted(trainer: Trainer) -> bool:
        """Whether somebody is looking."""
        return sys.stdout.isatty() and trainer.world_size == 1

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Asks the model to tell of its text."""
        module: Any = pl_module
        if hasattr(module, "on_text") and self.wanted(trainer):
            module.on_text = self.grow

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lets the model be silent again."""
        module: Any = pl_module
        if hasattr(module, "on_text"):
            module.on_text = None

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Notes the batch's prompts."""
        if "prompts" in batch:
            self.texts = {}
            self.prompts = dict(zip(batch["index"].tolist(), batch["prompts"], strict=True))
            self.shown = None

    def grow(self, row: int, text: str) -> None:
        """Takes a row's text so far."""
        self.texts[row] = text
        if self.shown is None:
            self.show(min(self.prompts))
        elif self.shown[0] == row:
            self.show(row)

    def show(self, row: int) -> None:
        """Prints what is new of a row; half of a character is held back until the rest is there."""
        done = self.shown[1] if self.shown is not None and self.shown[0] == row else None
        if done is None:
            sys.stdout.write(f"\n[{row}] {self.prompts[row]}")
            done = 0
        text = self.texts.get(row, "").rstrip("\N{REPLACEMENT CHARACTER}")
        sys.stdout.write(text[done:])
        sys.stdout.flush()
        self.shown = (row, max(done, len(text)))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Prints the batch's other rows, which have grown meanwhile."""
        if self.shown is None:
            return
        for row in sorted(self.prompts):
            if row > self.shown[0]:
                self.show(row)
        sys.stdout.write("\n")
