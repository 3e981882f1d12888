"""SIGTERM ends a command at once wherever it is. While it trains, GracefulStop saves a checkpoint first."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from seqlight.core.errors import Terminated


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Raises Terminated where SIGTERM arrives.

    Lightning keeps the handler beside its own, which notes the signal and does nothing before the next training batch.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a process that was forked off: nobody there expects an exception
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interruption(stop: SystemExit) -> KeyboardInterrupt | None:
    """The Ctrl-C or SIGTERM that Lightning has made an exit code of; None if there was none."""
    return stop.__context__ if isinstance(stop.__context__, KeyboardInterrupt) else None
