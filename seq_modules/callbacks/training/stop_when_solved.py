"""Stop when the task is solved, and say how long it took."""

import time

from lightning.pytorch import Callback, LightningModule, Trainer

from seq_modules.callbacks.training.monitor import is_reached, not_logged
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range


class StopWhenSolved(Callback):
    """Ends training once a validation metric has held a value, and logs the steps and seconds it took.

    Logs ``solved/steps`` and ``solved/seconds`` (of training, the first validation of the row that held included) when
    it happens; a run that never solves the task logs neither.

    Args:
        monitor: The metric.
        threshold: What it must reach; the mean squared error or a loss would need ``mode: min``.
        patience: Validations in a row that must hold; what follows the first lets the states settle.
        mode: "max" or "min".
        stop: Whether to end training; False goes on and only takes the time.
    """

    def __init__(
        self,
        monitor: str = "val/accuracy_last",
        threshold: float = 1.0,
        patience: int = 3,
        mode: str = "max",
        stop: bool = True,
    ) -> None:
        check_range("patience", patience, least=1)
        check_choice("mode", mode, ("max", "min"))
        self.monitor, self.threshold, self.patience, self.mode, self.stop = monitor, threshold, patience, mode, stop
        self.held, self.first_step, self.first_seconds, self.done = 0, 0, 0.0, False
        self._seconds_before, self._started = 0.0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Checks the metric."""
        if trainer.sanity_checking or self.done or trainer.state.fn != "fit":
            return
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            raise UserError(not_logged(trainer, self, self.monitor))
        if not is_reached(value, self.threshold, self.mode):
            self.held = 0
            return
        if self.held == 0:
            self.first_step, self.first_seconds = trainer.global_step, self._seconds()
        self.held += 1
        if self.held == self.patience:
            self.done = True
            metrics = {"solved/steps": float(self.first_step), "solved/seconds": self.first_seconds}
            for logger in trainer.loggers:
                logger.log_metrics(metrics, trainer.global_step)
            if self.stop:
                trainer.should_stop = True

    def state_dict(self) -> dict[str, float]:
        """The validations in a row that held, and the clock."""
        return {
            "held": self.held,
            "first_step": self.first_step,
            "first_seconds": self.first_seconds,
            "done": self.done,
            "seconds": self._seconds(),
        }

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Restores them."""
        self.held, self.first_step = int(state_dict["held"]), int(state_dict["first_step"])
        self.first_seconds, self.done = state_dict["first_seconds"], bool(state_dict["done"])
        self._seconds_before = state_dict["seconds"]
