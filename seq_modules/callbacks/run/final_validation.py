"""A training ends with a validation."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class FinalValidation(Callback):
    """Validates what a training ends with, wherever it ends.

    Lightning ends at ``max_steps`` in the middle of an epoch without a validation, and at ``max_epochs`` or a
    callback's stop too, unless ``check_val_every_n_epoch`` names the last epoch. The best checkpoint would then be one
    of long before, or none. This callback comes after all that stop a training, and before those that save.
    """

    def __init__(self) -> None:
        self._check_every: int | None = None  # the trainer's own setting while ours is in its place

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Asks Lightning for the validation that it makes when a callback stops a training."""
        if trainer.global_step == trainer.max_steps or ends_with_epoch(trainer):
            trainer.should_stop = True
        if trainer.should_stop and trainer.check_val_every_n_epoch is not None and self._check_every is None:
            self._check_every, trainer.check_val_every_n_epoch = trainer.check_val_every_n_epoch, 1

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restores the trainer's setting."""
        if self._check_every is not None:
            trainer.check_val_every_n_epoch, self._check_every = self._check_every, None


def ends_with_epoch(trainer: Trainer) -> bool:
    """Whether the last batch of the last epoch was just trained on."""
    return trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
