"""A prediction's text in the terminal, as it is generated."""

import sys
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from seq_modules.protocols.systems import StreamsText


class TextStream(Callback):
    """Prints the continuations of ``predict`` while they grow, one prompt after the other.

    The first unfinished prompt of a batch is shown as it grows, the others after it. It prints only to a terminal, and
    only if a single process predicts. The progress bar, which would be drawn over the text, is switched off.

    Attributes:
        rows: Numbers of the rows that were printed.
    """

    def __init__(self) -> None:
        self.rows: set[int] = set()
        self.texts: dict[int, str] = {}
        self.prompts: dict[int, str] = {}
        self.stop: list[str] = []
        self.shown: tuple[int, int] | None = None  # the row on the screen, and how many of its characters

    @staticmethod
    def wanted(trainer: Trainer) -> bool:
        """Whether the output is a terminal and a single process predicts."""
        return sys.stdout.isatty() and trainer.world_size == 1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Connects to the model's text, and switches the progress bar off before it is made."""
        if stage == "predict" and isinstance(pl_module, StreamsText) and self.wanted(trainer):
            self.rows = set()
            pl_module.on_text = self.grow
            if trainer.progress_bar_callback is not None:
                trainer.progress_bar_callback.disable()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Disconnects, and switches the progress bar on."""
        if stage == "predict" and isinstance(pl_module, StreamsText) and pl_module.on_text is not None:
            pl_module.on_text = None
            if trainer.progress_bar_callback is not None:
                trainer.progress_bar_callback.enable()

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Notes the batch's prompts."""
        if "prompts" in batch:
            self.texts = {}
            self.prompts = dict(zip(batch["index"].tolist(), batch["prompts"], strict=True))
            self.stop = batch.get("stop") or []
            self.shown = None

    def grow(self, row: int, text: str) -> None:
        """Takes a row's text so far."""
        self.texts[row] = text
        if self.shown is None:
            self.show(min(self.prompts))
        elif self.shown[0] == row:
            self.show(row)

    def show(self, row: int, whole: bool = False) -> None:
        """Prints what is new of a row; while it may go on, not what another token could still change."""
        done = self.shown[1] if self.shown is not None and self.shown[0] == row else None
        if done is None:
            sys.stdout.write(f"\n[{row}] {self.prompts[row]}")
            done = 0
        text = self.texts.get(row, "")
        if not whole:
            text = settled(text, self.stop)
        sys.stdout.write(text[done:])
        sys.stdout.flush()
        self.rows.add(row)
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
        """Prints the rest of the batch, which has grown meanwhile."""
        if self.shown is None:
            return
        for row in sorted(self.prompts):
            if row >= self.shown[0]:
                self.show(row, whole=True)
        sys.stdout.write("\n")
        sys.stdout.flush()


def settled(text: str, stop: list[str]) -> str:
    """The part of a growing text that stays: without half of a character, and without what may begin a stop string."""
    text = text.rstrip("\N{REPLACEMENT CHARACTER}")
    begun = (n for end in stop for n in range(1, len(end)) if text.endswith(end[:n]))
    return text[: len(text) - max(begun, default=0)]
