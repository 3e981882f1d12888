"""The entry point: ``seqlight fit|validate|test|predict``, and the commands of seqlight/command/commands.py."""

import os
import sys

from seqlight.command.commands import LIGHTNING_COMMANDS, other_command
from seqlight.command.compile_cache import replace_unwritable_cache
from seqlight.command.exit_codes import ending_on_signals, exit_codes, interruption
from seqlight.command.terminal import complete_output, prepare_outputs


def main() -> None:
    """Runs one command and exits with its code."""
    words = sys.argv[1:]
    if "--debug" in words:
        words.remove("--debug")
        os.environ["SEQLIGHT_DEBUG"] = "1"  # the other processes of a DDP run read it too
    output = prepare_outputs()
    replace_unwritable_cache()
    with exit_codes(), complete_output(output), ending_on_signals():
        code = other_command(words)
        sys.exit(train_test_predict(words) if code is None else code)


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
