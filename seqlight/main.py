"""The entry point: ``seqlight fit|validate|test|predict``, ``sweep``, ``average``, ``prove`` and ``configs``."""

import errno
import os
import sys

from seqlight.command.commands import LIGHTNING_COMMANDS, other_command
from seqlight.command.compile_cache import replace_unwritable_cache
from seqlight.command.signals import ending_on_sigterm, interruption
from seqlight.command.terminal import prepare_outputs
from seqlight.core.errors import Diverged, Stopped, Terminated, UserError, WritingError, shortened

# What a user can put right; every other exception keeps its traceback.
MISTAKES = (UserError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
OF_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO)  # what else is wrong with a path that a user gives


def main() -> None:
    """Runs one command and exits: 0 done, 2 a user's mistake, 1 a failure, 130 and 143 after Ctrl-C and SIGTERM.

    What the system cannot read or write is a failure in one line; other failures have a traceback.
    """
    words = sys.argv[1:]
    if "--debug" in words:
        words.remove("--debug")
        os.environ["SEQLIGHT_DEBUG"] = "1"  # the other processes of a DDP run read it too
    prepare_outputs()
    replace_unwritable_cache()
    try:
        with ending_on_sigterm():
            code = other_command(words)
            sys.exit(train_test_predict(words) if code is None else code)
    except Terminated:
        sys.stderr.write("seqlight: stopped by SIGTERM\n")
        sys.exit(143)
    except KeyboardInterrupt:
        sys.stderr.write("seqlight: stopped by Ctrl-C\n")
        sys.exit(130)
    except Stopped as stop:
        from lightning.fabric.utilities.rank_zero import rank_zero_only

        if not rank_zero_only.rank:  # type: ignore[attr-defined]  # one line, however many processes there are
            sys.stderr.write(f"seqlight: {stop}\n")
        sys.exit(128 + stop.number)
    except (Diverged, WritingError) as error:
        if os.environ.get("SEQLIGHT_DEBUG"):
            raise
        sys.stderr.write(f"seqlight: error: {error}\n")
        sys.exit(1)
    except (UserError, OSError) as error:
        if os.environ.get("SEQLIGHT_DEBUG"):
            raise
        is_mistake = isinstance(error, MISTAKES) or (isinstance(error, OSError) and error.errno in OF_NAMES)
        sys.stderr.write(f"seqlight: error: {shortened(' '.join(str(error).split()))}\n  (--debug shows where)\n")
        sys.exit(2 if is_mistake else 1)


def train_test_predict(words: list[str]) -> int:
    """Runs one of Lightning's commands; returns the exit code."""
    from seqlight.command.arguments import prepare
    from seqlight.command.lost_process import observe_launcher
    from seqlight.command.quiet import quieten

    observe_launcher()
    words = prepare(words, tuple(LIGHTNING_COMMANDS))
    quieten()
    from seq_modules.callbacks import GracefulStop
    from seqlight.command.trainer_cli import SeqCLI
    from seqlight.requeue import resume_after_requeue

    sys.argv[1:] = resume_after_requeue(words)  # Lightning starts the other processes with the same words
    try:
        SeqCLI()
    except SystemExit as stop:
        if interrupted := interruption(stop):
            raise interrupted from None
        raise
    return 128 + GracefulStop.received if GracefulStop.received else 0
