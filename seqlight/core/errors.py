"""A user's mistake, a training that came to nothing, what could not be written, and a stop that was asked for."""

import signal
from pathlib import Path

LONGEST = 1_000  # characters of a message; the value in it may be a whole file


def shortened(message: str) -> str:
    """A message without the middle of a value that would fill the screen."""
    return message if len(message) <= LONGEST else f"{message[: LONGEST - 300]} ... {message[-300:]}"


def reason_of(error: BaseException, most: int = 200) -> str:
    """An error as a part of a line: its message, or its kind if it has none.

    Args:
        error: The error.
        most: Characters after which the message is cut.
    """
    return (" ".join(str(error).split()) or type(error).__name__)[:most].rstrip(".")


class UserError(ValueError):
    """Something the user can put right: shown as one line, without a traceback, with exit code 2.

    A ValueError, so that who calls a constructor from Python catches what Python programs catch.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM, SIGHUP or SIGUSR1: whatever heeds Ctrl-C heeds it as well, with another exit code.

    Args:
        number: The signal's, from which the exit code is made.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def hangup() -> tuple[int, ...]:
    """SIGHUP, which comes when the terminal is closed; nothing under ``nohup``, which ignores it, and on Windows."""
    number = getattr(signal, "SIGHUP", None)
    return () if number is None or signal.getsignal(number) == signal.SIG_IGN else (number,)


class Stopped(BaseException):
    """A training that a signal has ended, with a checkpoint to go on from: shown as one line.

    Args:
        message: The line, with the command that resumes the training.
        number: The signal's, from which the exit code is made.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class WritingError(Exception):
    """A file that could not be written, for want of space or rights: shown as one line, with exit code 1."""


class Diverged(RuntimeError):  # noqa: N818  what happened, and no fault of the program
    """A training whose loss is no number any more: shown as one line, with exit code 1.

    Args:
        message: The line.
        folder: The run's.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder
