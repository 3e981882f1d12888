"""Short sequences first: the longest training length grows as the model masters it."""

from lightning.pytorch import Callback, LightningModule, Trainer

from seq_modules.callbacks.training.monitor import is_reached, not_logged
from seq_modules.protocols.data import HasTrainLength
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range


class LengthCurriculum(Callback):
    """Lengthens the training sequences (Bengio et al., ICML 2009).

    It acts at the end of each epoch: once ``monitor`` has passed ``threshold`` in ``patience`` epochs in a row, the
    datamodule's ``train_max_length`` grows by ``step``, until ``limit``. Epochs, rather than batches, so that worker
    processes and resumed runs see the same lengths. Logs ``curriculum/max_length``.

    Args:
        start: Longest length in the first epoch.
        step: How much longer each time.
        limit: Longest length of all; by default the data's own.
        patience: Epochs in a row that must pass.
        monitor: A metric of training; "train/accuracy_last" and "train/loss" come with every parity run.
        threshold: What it has to reach.
        mode: "max" if the metric must be at least the threshold, "min" if at most.
    """

    def __init__(
        self,
        start: int = 10,
        step: int = 10,
        limit: int | None = None,
        patience: int = 1,
        monitor: str = "train/accuracy_last",
        threshold: float = 0.99,
        mode: str = "max",
    ) -> None:
        for name, value in (("start", start), ("step", step), ("patience", patience)):
            check_range(name, value, least=1)
        check_range("limit", limit, least=start)
        check_choice("mode", mode, ("max", "min"))
        self.start, self.step, self.limit, self.patience = start, step, limit, patience
        self.monitor, self.threshold, self.mode = monitor, threshold, mode
        self.max_length, self.passed, self._resumed = start, 0, False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sets the first length, or the one that the checkpoint holds."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, HasTrainLength):
            raise UserError(f"LengthCurriculum needs data with a train_max_length; {type(data).__name__} has none")
        self.limit = data.train_max_length if self.limit is None else self.limit
        self.max_length = min(self.max_length, self.limit)
        data.train_max_length = self.max_length

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lengthens the sequences if the metric has reached the threshold."""
        value = trainer.callback_metrics.get(self.monitor)
        resumed, self._resumed = self._resumed, False
        if value is None and resumed:
            # The rest of a resumed epoch held no step that is measured: what was measured before the break counts.
            value = pl_module.train_metrics.compute().get(self.monitor)  # type: ignore[operator,union-attr]
        if value is None:
            hint = "(trainer.log_every_n_steps must be at most the batches of an epoch)"
            raise UserError(f"{not_logged(trainer, self, self.monitor)} {hint}")
        ready = is_reached(value, self.threshold, self.mode)
        self.passed = self.passed + 1 if ready else 0
        assert self.limit is not None
        if self.passed >= self.patience and self.max_length < self.limit:
            self.max_length, self.passed = min(self.max_length + self.step, self.limit), 0
            trainer.datamodule.train_max_length = self.max_length  # type: ignore[attr-defined]
        pl_module.log("curriculum/max_length", float(self.max_length))

    def state_dict(self) -> dict[str, int]:
        """Where the curriculum stands."""
        return {"max_length": self.max_length, "passed": self.passed}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restores it."""
        self.max_length, self.passed, self._resumed = state_dict["max_length"], state_dict["passed"], True
