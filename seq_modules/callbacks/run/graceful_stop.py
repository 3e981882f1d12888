"""A signal ends training or validation after the current batch, with a checkpoint to go on from.

The signals are Ctrl-C, SIGTERM, SIGUSR1, and SIGHUP, which comes when the terminal is closed.
"""

import shlex
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.callbacks.run.last_checkpoint import LastCheckpoint
from seq_modules.training.accumulation import in_window
from seq_modules.training.sharding import class_of
from seqlight.core.errors import Stopped, hangup
from seqlight.core.hyperparameters import check_range, class_options, class_path

QUEUE_AGAIN = getattr(signal, "SIGUSR1", None)  # SLURM's; Windows has no such signal
SIGNALS = tuple(number for number in (signal.SIGINT, signal.SIGTERM, QUEUE_AGAIN) if number is not None)


class GracefulStop(Callback):
    """Turns a signal into a stop at the batch's end, on every rank; a second Ctrl-C stops at once.

    Nothing else is done: no validation, no picture. A validation that was due or under way is made by the resumed
    training, unless that is at its end already (FinalValidation). Several ranks, who must agree, end a validation
    before they stop.

    Lightning's own handlers talk to the other ranks from within the signal handler, which can deadlock. The one by
    which a job of SLURM saves a checkpoint and queues itself again (``--signal=SIGUSR1@90``) is therefore called at the
    step's end too. This callback comes after all that have a state, which that checkpoint holds.

    Args:
        ask_every: Steps between two checks when there are several ranks, who must agree; a single process checks
            after every step.

    Raises:
        UserError: ``ask_every`` is below 1.
    """

    received = 0  # of the process, not of one trainer: the signal's number, from which main() makes the exit code

    def __init__(self, ask_every: int = 20) -> None:
        check_range("ask_every", ask_every, least=1)
        self.ask_every = ask_every
        self._before: dict[int, Any] = {}  # handlers before Lightning's
        self._previous: dict[int, Any] = {}  # Lightning's
        self._queue_again = False
        self._is_stopping = False
        self._outputs: Any = None  # of the newest training batch

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if GracefulStop.received and signum == signal.SIGINT:
            raise KeyboardInterrupt
        GracefulStop.received = signum
        self._queue_again = self._queue_again or signum == QUEUE_AGAIN

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Notes the handlers that Lightning is about to replace."""
        self._before = {number: signal.getsignal(number) for number in (*SIGNALS, *hangup())}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replaces Lightning's handlers, which are installed by now."""
        GracefulStop.received, self._queue_again, self._is_stopping = 0, False, False
        self._previous = {number: signal.signal(number, self._handle) for number in self._before}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves if any rank got a signal."""
        self._outputs = outputs
        if trainer.world_size > 1:
            in_between = batch_idx // trainer.accumulate_grad_batches % self.ask_every
            if in_between or in_window(trainer, batch_idx):  # each rank has gradients of its own
                return
        if trainer.strategy.reduce_boolean_decision(bool(GracefulStop.received), all=False):
            GracefulStop.received = GracefulStop.received or signal.SIGTERM
            self._is_stopping = True
            if not trainer.is_last_batch:
                self._save(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stops after the batch before, which has been logged."""
        self._stop_if_asked(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops after the epoch before, which has been logged."""
        self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves if the signal came in the epoch's last batch."""
        if self._is_stopping and trainer.is_last_batch:
            self._save(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops before a validation that followed upon the last batch."""
        if self._is_stopping:
            self._stop_in_validation(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stops within a validation."""
        if GracefulStop.received and trainer.world_size == 1 and not trainer.sanity_checking:
            self._stop_in_validation(trainer)

    def _stop_in_validation(self, trainer: Trainer) -> None:
        """Saves a state from which the validation is made from its beginning, and stops."""
        progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
        progress.reset()
        progress.increment_ready()  # as within the first batch
        progress.increment_started()
        self._save(trainer)
        self._is_stopping = True
        self._stop_if_asked(trainer)

    def _save(self, trainer: Trainer) -> None:
        for callback in _last_checkpoints(trainer):
            callback.save_if_sound(trainer, self._outputs)
        queue_again = None if QUEUE_AGAIN is None else self._previous.get(QUEUE_AGAIN)  # Lightning's, in a job of SLURM
        if callable(queue_again) and trainer.strategy.reduce_boolean_decision(self._queue_again, all=False):
            self._queue_again = False
            queue_again(QUEUE_AGAIN, None)

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if self._is_stopping:
            for callback in _last_checkpoints(trainer):
                callback.publish(trainer)
            raise Stopped(how_to_go_on(trainer), GracefulStop.received)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the command that resumes the training, if a signal came at its very end."""
        if GracefulStop.received:
            rank_zero_info(how_to_go_on(trainer))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the handlers there were before training, as Lightning has done by now; after an error too."""
        if self._previous:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._previous = {}


def how_to_go_on(trainer: Trainer) -> str:
    """What has ended the training, and the command that resumes it."""
    number = signal.Signals(GracefulStop.received)
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    paths = [callback.path for callback in _last_checkpoints(trainer) if callback.path and callback.path.exists()]
    way = f"to go on: {resume_command(trainer, paths[0])}" if paths else "no checkpoint was saved"
    return f"stopped by {name} at step {trainer.global_step}; {way}"


def resume_command(trainer: Trainer, checkpoint: Path | str) -> str:
    """The command that resumes the training."""
    return f"seqlight fit --ckpt_path {shlex.quote(str(checkpoint))}{own_classes(trainer)}"


def own_classes(trainer: Trainer) -> str:
    """`` --model mine.MyModel --data mine.MyData`` for classes of a user's own: a checkpoint's words import none."""
    objects = {"model": trainer.lightning_module, "data": getattr(trainer, "datamodule", None)}
    return class_options({name: class_path(class_of(made)) for name, made in objects.items() if made is not None})


def _last_checkpoints(trainer: Trainer) -> list[LastCheckpoint]:
    return [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint)]
