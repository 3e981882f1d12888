"""How a command ends: its exit code, and one line for what a user can put right.

SIGTERM ends it at once wherever it is, and so does SIGHUP, which comes when its terminal is closed. While it trains,
GracefulStop saves a checkpoint first.
"""

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from seqlight.core.errors import Diverged, Stopped, Terminated, UserError, WritingError, hangup, shortened

# What a user can put right; every other exception keeps its traceback.
MISTAKES = (UserError, FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
OF_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO)  # what else is wrong with a path that a user gives


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Exits with 2 at a user's mistake, 1 at a failure, and 128 and its number after a signal, with one line.

    What the system cannot read or write is a failure in one line; other failures have a traceback.
    """
    try:
        yield
    except Terminated as stop:
        sys.stderr.write(f"seqlight: stopped by {signal.Signals(stop.number).name}\n")
        sys.exit(128 + stop.number)
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


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """Raises Terminated where SIGTERM or SIGHUP arrives.

    Lightning keeps the handler of SIGTERM beside its own, which notes the signal and does nothing before the next
    training batch.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a process that was forked off: nobody there expects an exception
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, *hangup())}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interruption(stop: SystemExit) -> KeyboardInterrupt | None:
    """The Ctrl-C or SIGTERM that Lightning has made an exit code of; None if there was none."""
    return stop.__context__ if isinstance(stop.__context__, KeyboardInterrupt) else None
