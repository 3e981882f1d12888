"""Training for so many seconds."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from seq_modules.training.accumulation import in_window
from seq_modules.training.progress import Budget
from seqlight.core.hyperparameters import check_range


class TimeBudget(Callback, Budget):
    """Ends training after so many seconds; the learning rate's schedule goes by them. FinalValidation goes with it.

    Validations within training are not counted, nor what callbacks do after them (checkpoints, samples). A resumed run
    counts the seconds already used. Set ``trainer.max_epochs: -1`` too: otherwise the schedule follows the number of
    steps if that ends first.

    Args:
        seconds: Of training, above 0.
        count_compile: Whether the clock starts with the fit, so that the loaders' building, the sanity check and the
            compilation (callbacks/training/compile.py) count. Otherwise it starts after the fit's first step.
    """

    def __init__(self, seconds: float, count_compile: bool = True) -> None:
        check_range("seconds", seconds, above=0)
        self.seconds, self.count_compile = seconds, count_compile
        self._before = 0.0  # seconds used until the clock was last started
        self._since: float | None = None  # when that was; None while it stands
        self._agreed = 0.0  # seconds used at the end of the last step, the same on all ranks
        self._waits = False  # for the first step's end

    @property
    def progress(self) -> float:
        """Fraction of the seconds that were used at the end of the last step."""
        return min(1.0, self._agreed / self.seconds)

    @property
    def used(self) -> float:
        """Seconds used so far."""
        return self._before + (0.0 if self._since is None else time.monotonic() - self._since)

    def _start(self) -> None:
        if self._since is None:
            self._since = time.monotonic()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock; stops at once if no time is left."""
        self._since, self._waits = None, not self.count_compile
        if self._agreed >= self.seconds:
            trainer.should_stop = True
        elif not self._waits:
            self._start()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts the clock again after a validation."""
        if not self._waits:
            self._start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ends training when the time is over."""
        self._waits = False
        self._start()
        used = self.used
        if trainer.world_size > 1:  # one learning rate and one last step for all
            used = float(trainer.strategy.reduce(torch.tensor(used, device=pl_module.device), reduce_op="max"))
        self._agreed = used
        if used >= self.seconds and not in_window(trainer, batch_idx):
            trainer.should_stop = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock."""
        if not trainer.sanity_checking:
            self._before, self._since = self.used, None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stops the clock."""
        self._before, self._since = self.used, None

    def state_dict(self) -> dict[str, float]:
        """The seconds used."""
        return {"used": self.used}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Restores them."""
        self._before = self._agreed = state_dict["used"]
