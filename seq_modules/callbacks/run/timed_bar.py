"""A progress bar that costs training nothing one could measure."""

import sys
import time

from lightning.pytorch.callbacks import TQDMProgressBar


class TimedBar(TQDMProgressBar):
    """Draws a few times a second in place of at every batch, and from no thread of its own.

    Lightning's Rich bar redraws from a second thread, which takes the interpreter away from training: it made steps of
    5 ms a third longer (benchmarks/trainer_overhead.py).

    Args:
        seconds: Least time between two drawings.
    """

    def __init__(self, seconds: float = 0.2) -> None:
        super().__init__()
        self.seconds = seconds
        self._drawn = 0.0

    @staticmethod
    def wanted(setting: bool | None) -> bool:
        """Whether a run shows a bar: as ``trainer.enable_progress_bar`` says, by default in a terminal alone."""
        return sys.stdout.isatty() if setting is None else setting

    def _should_update(self, current: int, total: int) -> bool:
        now = time.monotonic()
        if not self.is_enabled or (current != total and now - self._drawn < self.seconds):
            return False
        self._drawn = now
        return True
