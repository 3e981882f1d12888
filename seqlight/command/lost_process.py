"""A process of a run that is killed: the others end too, and one line says which it was and how to go on.

Lightning's launcher ends the process that it runs in when one that it started has failed, and gloo refuses to talk to
one that is gone. Missing are a process whose launcher is gone, which may wait for it for half an hour, and the line.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

LAUNCHER = "SEQLIGHT_LAUNCHER"  # environment variable: the process that started this one as a part of its run
# What gloo, NCCL and the store say when another process has closed its end.
CLOSED = re.compile(r"(closed|reset) by peer|Broken pipe|remote process exit|Connection (was|refused)", re.IGNORECASE)
PATIENCE = 5.0  # seconds for the main thread to end by itself; Lightning's own observer looks as often


class LauncherObserver(threading.Thread):
    """Ends this process when its launcher is gone, as Lightning's observer ends a launcher whose process is gone.

    Args:
        launcher: The launcher's process number.

    Attributes:
        trainer: The run's, once there is one.
    """

    def __init__(self, launcher: int) -> None:
        super().__init__(daemon=True, name="launcher-observer")
        self.launcher = launcher
        self.trainer: Trainer | None = None

    @property
    def is_alone(self) -> bool:
        """Whether the launcher is gone."""
        return os.getppid() != self.launcher

    def run(self) -> None:
        """Looks until the launcher is gone; a daemon thread, so that a run that is done ends it."""
        while not self.is_alone:
            time.sleep(0.5)
        time.sleep(PATIENCE)
        if os.environ.get("LOCAL_RANK") == "1":  # one line, however many processes there are
            complain(f"rank 0 (process {self.launcher}) is gone", self.trainer)
        sys.stderr.flush()
        os._exit(1)


_observer: LauncherObserver | None = None  # of this process


def observe_launcher() -> None:
    """Starts the observer if Lightning's launcher started this process; to be called early, and once."""
    global _observer
    if launcher := os.environ.pop(LAUNCHER, None):
        _observer = LauncherObserver(int(launcher))
        _observer.start()


@contextlib.contextmanager
def ending_together(trainer: "Trainer") -> Iterator[None]:
    """Runs a command's loop; a lost connection to another process ends it with one line and exit code 1."""
    from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

    launcher = trainer.strategy.launcher
    is_launcher = (
        isinstance(launcher, _SubprocessScriptLauncher)
        and not launcher.cluster_environment.creates_processes_externally
    )
    if is_launcher:
        os.environ[LAUNCHER] = str(os.getpid())  # Lightning starts the others with this environment
        logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").addFilter(
            lambda record: complain(lost_process(trainer), trainer)  # in place of its own words
        )
    if _observer:
        _observer.trainer = trainer
    try:
        yield
    except Exception as error:
        if trainer.world_size == 1 or not is_lost_connection(error) or os.environ.get("SEQLIGHT_DEBUG"):
            raise
        if (lost := lost_process(trainer)) is None:
            raise  # the connection was to somebody else
        complain(lost, trainer)
        raise SystemExit(1) from error
    finally:
        if is_launcher:
            os.environ.pop(LAUNCHER, None)


def is_lost_connection(error: BaseException | None) -> bool:
    """Whether an error, or one that it followed upon, is torch.distributed's of a connection that was closed."""
    while error is not None:
        if isinstance(error, RuntimeError) and CLOSED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def lost_process(trainer: "Trainer") -> str | None:
    """Which process is gone, and how it ended; "" where another process says so, None if all are still there."""
    if started := getattr(trainer.strategy.launcher, "procs", []):
        for _ in range(20):  # its end may be seen a moment after that of its connection
            for rank, process in enumerate(started, trainer.global_rank + 1):
                if code := process.poll():
                    how = f"killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
                    return f"rank {rank} (process {process.pid}) has ended: {how}"
            time.sleep(0.1)
        if trainer.num_nodes == 1:
            return None
    if _observer:
        for _ in range(20):
            if _observer.is_alone:
                return f"rank 0 (process {_observer.launcher}) is gone" if trainer.local_rank == 1 else ""
            time.sleep(0.1)
        return None if trainer.world_size == 2 else ""
    if trainer.global_rank > 1:  # of a launcher such as torchrun's, which names the process itself
        return ""
    return f"rank {1 - trainer.global_rank} is gone" if trainer.world_size == 2 else "another process is gone"


def complain(lost: str | None, trainer: "Trainer | None") -> bool:
    """Prints the line, if there is something to say; returns False, by which a log record is dropped."""
    if lost:
        sys.stderr.write(f"seqlight: error: {lost}, and the run with it; {way_on(trainer)}\n")
    return False


def way_on(trainer: "Trainer | None") -> str:
    """The command that resumes a training."""
    if trainer is None:  # the main thread may still be at its imports
        return "start it again"
    from lightning.pytorch.trainer.states import TrainerFn

    from seq_modules.callbacks import LastCheckpoint
    from seq_modules.callbacks.run.graceful_stop import resume_command

    if trainer.state.fn != TrainerFn.FITTING:
        return "start it again"
    saved = [
        c.path for c in trainer.checkpoint_callbacks if isinstance(c, LastCheckpoint) and c.path and c.path.exists()
    ]
    if path := next(iter(saved), None) or trainer.ckpt_path:
        return f"to go on: {resume_command(trainer, path)}"
    return "no checkpoint was saved yet: start it again"
