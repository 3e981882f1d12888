"""The signal of a closed terminal, where a command heeds it."""

import signal


def hangup() -> tuple[int, ...]:
    """SIGHUP, which comes when the terminal is closed; nothing under ``nohup``, which ignores it, and on Windows."""
    number = getattr(signal, "SIGHUP", None)
    return () if number is None or signal.getsignal(number) == signal.SIG_IGN else (number,)
