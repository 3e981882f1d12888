"""One line an epoch, for log files."""

import time

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only


class EpochLines(Callback):
    """Prints each epoch's metrics in one line; used where no progress bar is shown."""

    def __init__(self) -> None:
        self._started = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock; an epoch resumed in its middle does not call ``on_train_epoch_start``."""
        self._started = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    @rank_zero_only
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints."""
        metrics = {k: v.item() for k, v in trainer.callback_metrics.items() if k.startswith(("train/", "val/"))}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        last = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "-"
        seconds = time.monotonic() - self._started
        print(
            f"epoch {trainer.current_epoch + 1}/{last}  step {trainer.global_step}  {shown}  {seconds:.1f} s",
            flush=True,
        )
