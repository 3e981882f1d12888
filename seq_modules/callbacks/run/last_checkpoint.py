"""``last.ckpt``: where training can go on from."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from seq_modules.callbacks.training.monitor import has_finite_loss
from seq_modules.training.accumulation import in_window
from seqlight.core.files.replacing import part_of, remove
from seqlight.core.files.write_errors import writing
from seqlight.core.hyperparameters import check_range

REST = 50  # times as long as a save took, at least, until the next


class LastCheckpoint(Checkpoint):
    """Saves ``checkpoints/last.ckpt`` every few minutes, and when training ends.

    Slow saves are rarer, so that saving takes at most a fiftieth of the training. Lightning's ModelCheckpoint saves a
    training that stops in mid-epoch only after the epoch's end, and resuming would skip the rest of that epoch.

    A checkpoint appears under its name when the metrics of its step are in the loggers, which Lightning writes after
    the callbacks have been called. None is of a moment from which a validation or the end of an epoch would be lost:
    where one of those follows upon a batch, the save waits for it.

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
        self._is_written = False  # a part that publish() will give its name
        self._is_due = False  # a save waits for a validation or an epoch's end
        self._has_ended = False  # training has, in mid-epoch

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Finds the run's folder; on every rank, since they agree on it."""
        if stage == "fit":
            self.path = Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "last.ckpt"
            self._saved_at_step, self._saved_at, self._took = -1, time.monotonic(), 0.0
            self._is_written = self._is_due = self._has_ended = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if a save is due, or if training ends with this batch in the middle of an epoch."""
        if in_window(trainer, batch_idx) and trainer.world_size > 1:  # each rank has gradients of its own
            return
        ended = trainer.should_stop or trainer.global_step == trainer.max_steps
        if ended and not trainer.is_last_batch and trainer.global_step != self._saved_at_step:
            self._has_ended = True
            self.save_if_sound(trainer, outputs)  # after the epoch's end it would count as a whole one
            return
        if trainer.world_size > 1 and batch_idx // trainer.accumulate_grad_batches % self.ask_every:
            return
        is_due = time.monotonic() - self._saved_at > max(60 * self.minutes, REST * self._took)
        if trainer.strategy.reduce_boolean_decision(is_due, all=False):
            if trainer.is_last_batch:
                self._is_due = True
            else:
                self.save_if_sound(trainer, outputs)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """The step before has been logged."""
        self.publish(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch before has been logged."""
        self.publish(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drops what was saved before a validation that the rest of the training would lack."""
        if trainer.sanity_checking:
            return
        if self._is_written and not self._has_ended:
            self._is_written, self._is_due = False, True
            self._remove_part(trainer)
        self.publish(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves if a save waited for the validation in mid-epoch."""
        if self._is_due and not trainer.is_last_batch:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves if a save waited for the epoch's end."""
        if self._is_due:
            self.save(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the trained model, unless this step was saved already (a stop in mid-epoch saves itself)."""
        self.publish(trainer)
        if trainer.global_step != self._saved_at_step and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.save(trainer)
            self.publish(trainer)
        trainer.strategy.barrier("last checkpoint")  # no rank goes on without the file

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """What is written is whole, whatever has happened since."""
        self.publish(trainer)

    def save_if_sound(self, trainer: Trainer, outputs: Any) -> None:
        """Saves unless a rank's loss is NaN or infinite, from which no training could go on."""
        if trainer.strategy.reduce_boolean_decision(has_finite_loss(outputs), all=True):
            self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Writes what :meth:`publish` will give its name; to be called on every rank."""
        assert self.path is not None
        started = time.monotonic()
        self._saved_at_step, self._saved_at, self._is_due = trainer.global_step, started, False
        trainer.save_checkpoint(part_of(self.path), weights_only=False)  # with the optimiser
        self._is_written, self._took = True, time.monotonic() - started

    def publish(self, trainer: Trainer) -> None:
        """Puts what is written in the place of the last checkpoint."""
        if not self._is_written:
            return
        self._is_written = False
        if trainer.is_global_zero:
            assert self.path is not None
            part = part_of(self.path)
            with writing(self.path):
                if self.path.is_dir() or part.is_dir():  # a checkpoint in parts
                    remove(self.path)
                part.replace(self.path)

    def _remove_part(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            assert self.path is not None
            remove(part_of(self.path))
