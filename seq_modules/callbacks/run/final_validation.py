"""A training ends with a validation."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class FinalValidation(Callback):
    """Validates the last weights of a training.

    Lightning ends at ``max_steps`` in the middle of an epoch without a validation. At ``max_epochs``, or where a
    callback stops the training after a batch, it makes one only in the epochs that ``check_val_every_n_epoch`` divides.
    The best checkpoint would then be one of long before, or none. This callback comes after all that stop a training,
    and before those that save.

    A signal during this validation leaves it out where the training ends at ``max_steps`` or by a time limit: the
    resumed training has nothing to do. ``min_epochs`` and ``min_steps`` can prevent it too, and so can a callback that
    stops a training at an epoch's end.
    """

    def __init__(self) -> None:
        self._check_every: int | None = None  # the trainer's own setting while ours is in its place

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A training that is resumed in its last epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch is validated."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            self._validate_epoch(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Asks Lightning for the validation that it makes when a callback stops a training."""
        is_last = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.global_step == trainer.max_steps or is_last:
            trainer.should_stop = True
        if trainer.should_stop and may_stop(trainer):
            self._validate_epoch(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the trainer's setting."""
        if self._check_every is not None:
            trainer.check_val_every_n_epoch, self._check_every = self._check_every, None

    def _validate_epoch(self, trainer: Trainer) -> None:
        if trainer.check_val_every_n_epoch is not None and self._check_every is None:
            self._check_every, trainer.check_val_every_n_epoch = trainer.check_val_every_n_epoch, 1


def may_stop(trainer: Trainer) -> bool:
    """Whether ``min_epochs`` and ``min_steps`` allow a training to stop after this batch."""
    return trainer.current_epoch >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)
