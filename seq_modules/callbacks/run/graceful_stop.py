"""Ctrl-C, SIGTERM and SIGUSR1 end training after the current batch, with a checkpoint to go on from."""

import shlex
import signal
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.callbacks.run.last_checkpoint import LastCheckpoint
from seq_modules.training.accumulation import in_window
from seqlight.core.checks import check_range

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class GracefulStop(Callback):
    """Turns a signal into a stop at the step's end, on every rank; a second Ctrl-C stops at once.

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

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if GracefulStop.received and signum == signal.SIGINT:
            raise KeyboardInterrupt
        GracefulStop.received = signum
        self._queue_again = self._queue_again or signum == signal.SIGUSR1

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Notes the handlers that Lightning is about to replace."""
        self._before = {number: signal.getsignal(number) for number in SIGNALS}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replaces Lightning's handlers, which are installed by now."""
        GracefulStop.received, self._queue_again = 0, False
        self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops if any rank got a signal; LastCheckpoint, which comes after, saves."""
        if in_window(trainer, batch_idx):
            return
        if trainer.world_size > 1 and batch_idx // trainer.accumulate_grad_batches % self.ask_every:
            return
        if trainer.strategy.reduce_boolean_decision(bool(GracefulStop.received), all=False):
            GracefulStop.received = GracefulStop.received or signal.SIGTERM
            trainer.should_stop = True
            queue_again = self._previous.get(signal.SIGUSR1)  # Lightning's, in a job of SLURM
            if callable(queue_again) and trainer.strategy.reduce_boolean_decision(self._queue_again, all=False):
                queue_again(signal.SIGUSR1, None)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the command that resumes the training."""
        paths = [callback.path for callback in trainer.checkpoint_callbacks if isinstance(callback, LastCheckpoint)]
        if GracefulStop.received and paths:
            path = shlex.quote(str(paths[0]))
            rank_zero_info(f"\nstopped at step {trainer.global_step}; to go on: seqlight fit --ckpt_path {path}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the handlers there were before training, as Lightning has done by now; after an error too."""
        if self._previous:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._previous = {}
