"""A progress bar that does not slow training down."""

import sys
import time

from lightning.pytorch.callbacks import TQDMProgressBar

from seqlight.core.hyperparameters import check_range


class TimedBar(TQDMProgressBar):
    """Redraws a few times a second instead of at every batch, and in the training's own thread.

    Lightning's Rich bar redraws in a second thread, which holds the interpreter's lock: it made steps of 5 ms a third
    longer (benchmarks/speed/trainer_overhead.py).

    Args:
        seconds: Least time between two redraws, 0 or more.

    Raises:
        UserError: ``seconds`` is negative.
    """

    def __init__(self, seconds: float = 0.2) -> None:
        super().__init__()
        check_range("seconds", seconds, least=0)
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
