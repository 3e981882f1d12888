"""``last.ckpt``: where training can go on from."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from seq_modules.callbacks.training.monitor import has_finite_loss
from seq_modules.training.accumulation import in_window
from seqlight.core.checks import check_range

REST = 50  # times as long as a save took, at least, until the next


class LastCheckpoint(Checkpoint):
    """Saves ``checkpoints/last.ckpt`` every few minutes, and when training ends.

    Slow saves are rarer, so that saving takes at most a fiftieth of the training. Lightning's ModelCheckpoint saves a
    training that stops in mid-epoch only after the epoch's end, and resuming would skip the rest of that epoch.

    Args:
        minutes: Least time between two saves, above 0.
        ask_every: Steps between two checks of the clock when there are several ranks, who must agree; at least 1.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(self, minutes: float = 1.0, ask_every: int = 20) -> None:
        check_range("minutes", minutes, above=0)
        check_range("ask_every", ask_every, least=1)
        self.minutes, self.ask_every = minutes, ask_every
        self.path: Path | None = None
        self._saved_at_step = -1
        self._saved_at, self._took = 0.0, 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Finds the run's folder; on every rank, since they agree on it."""
        if stage == "fit":
            self.path = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "last.ckpt"
            self._saved_at_step, self._saved_at, self._took = -1, time.monotonic(), 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if a save is due, or if training ends with this batch in the middle of an epoch."""
        if in_window(trainer, batch_idx):
            return
        ended = trainer.should_stop or trainer.global_step == trainer.max_steps
        if ended and batch_idx + 1 < trainer.num_training_batches and trainer.global_step != self._saved_at_step:
            self._save_if_sound(trainer, outputs)  # after the epoch's end it would count as a whole one
            return
        if trainer.world_size > 1 and batch_idx // trainer.accumulate_grad_batches % self.ask_every:
            return
        is_due = time.monotonic() - self._saved_at > max(60 * self.minutes, REST * self._took)
        if trainer.strategy.reduce_boolean_decision(is_due, all=False):
            self._save_if_sound(trainer, outputs)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the trained model, unless this step was saved already (a stop in mid-epoch saves itself)."""
        if trainer.global_step != self._saved_at_step and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.save(trainer)

    def _save_if_sound(self, trainer: Trainer, outputs: Any) -> None:
        """Saves unless a rank's loss is NaN or infinite, from which no training could go on."""
        if trainer.strategy.reduce_boolean_decision(has_finite_loss(outputs), all=True):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Writes the file; to be called on every rank."""
        assert self.path is not None
        started = time.monotonic()
        self._saved_at_step, self._saved_at = trainer.global_step, started
        trainer.save_checkpoint(self.path, weights_only=False)  # with the optimiser
        self._took = time.monotonic() - started
