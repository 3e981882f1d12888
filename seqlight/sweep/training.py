"""One trial: a training, and a test, by the command itself and in this process."""

import contextlib
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqlight.command.arguments import option_word, prepare
from seqlight.command.exit_codes import interruption
from seqlight.core.errors import Stopped, Terminated, UserError
from seqlight.core.plots import read_metrics
from seqlight.sweep.pruning import Pruned
from seqlight.sweep.sweep_file import Sweep

if TYPE_CHECKING:
    from lightning.pytorch import Callback
    from optuna import Trial

    from seqlight.command.trainer_cli import SeqCLI


def train(sweep: Sweep, chosen: dict[str, Any], trial: "Trial | None" = None) -> tuple[dict[str, float], Path]:
    """Trains (and tests) through the command itself; gives the metrics' last values and the run's folder.

    Args:
        sweep: The sweep.
        chosen: The settings of this trial.
        trial: Where validations are reported to, if the sweep has a pruner.

    Raises:
        Diverged: The training has.
        Pruned: It was stopped, since others were better.
        UserError: It ended without a checkpoint to test.
    """
    from seqlight.sweep.prune_trial import PruneTrial  # here, since it imports lightning

    configs = [*sweep.config, *(value for key, value in chosen.items() if key == "config")]
    words = [f"--config={config}" for config in configs]
    words.append(f"--experiment=sweeps/{sweep.name}")
    for key, value in {**sweep.set, **{k: v for k, v in chosen.items() if k != "config"}}.items():
        words.append(option_word(f"--{key}", value))
    # One process a trial: Lightning starts a group of processes once in a program. More devices, more `seqlight sweep`.
    words += ["--trainer.devices=1", "--trainer.num_nodes=1", "--trainer.strategy=auto"]
    with quiet(sweep.folder / f"log-{os.getpid()}.txt"):
        started = time.monotonic()
        pruning = [PruneTrial(trial, sweep)] if trial and sweep.pruner else []
        fitted = command_line(["fit", *words], pruning)
        if pruning and pruning[0].reason:
            raise Pruned(pruning[0].reason, fitted.run_folder)
        made = {"fit/seconds": time.monotonic() - started, "fit/steps": fitted.trainer.global_step}
        files = [fitted.run_folder / "metrics.csv"]
        if sweep.test:
            checkpoint = fitted.run_folder / "checkpoints" / "best.ckpt"
            if not checkpoint.exists():
                raise UserError(
                    f"sweep {sweep.name}: the training made no validation with a finite loss, so there is no "
                    "checkpoint to test; leave out trainer.limit_val_batches, lower the learning rate, or say "
                    "test: false"
                )
            files.append(command_line(["test", f"--ckpt_path={checkpoint}"]).run_folder / "metrics.csv")
    metrics = {name: curve[-1][1] for file in files for name, curve in read_metrics(file).items()}
    return {**metrics, **made}, fitted.run_folder


def command_line(words: list[str], callbacks: "Sequence[Callback]" = ()) -> "SeqCLI":
    """One command in this process; the program's words become its own, with which Lightning starts DDP's others.

    Args:
        words: The command.
        callbacks: Of the Trainer, beside those of the settings.
    """
    from seq_modules.callbacks import GracefulStop
    from seqlight.command.trainer_cli import SeqCLI

    before = sys.argv[1:]
    sys.argv[1:] = prepare(words, (words[0],))
    try:
        done = SeqCLI(callbacks=callbacks)
    except SystemExit as stop:
        if interrupted := interruption(stop):
            raise interrupted from None
        raise
    except Stopped as stop:  # whatever Optuna does upon Ctrl-C, it does then
        raise interrupted_by(stop.number) from None
    finally:
        sys.argv[1:] = before
        if (wandb := sys.modules.get("wandb")) is not None and wandb.run is not None:
            wandb.finish()  # the next command's logger would go on with this run
    if GracefulStop.received:
        raise interrupted_by(GracefulStop.received)
    return done


def interrupted_by(number: int) -> KeyboardInterrupt:
    """The exception for a signal that a training has heeded."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Sends what a run prints to a file."""
    import lightning.pytorch  # noqa: F401  (its import sets the levels)

    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with log.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
