"""A frozen encoder's vectors, kept from epoch to epoch and from run to run."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.nets.pretrained.encoder import PretrainedEncoder
from seqlight.core.errors import WritingError


class FrozenVectors(Callback):
    """Lets a frozen encoder read each text once.

    Its vectors are in the folder of the data's caches, in a file of the encoder's own.

    Args:
        encoder: The encoder; one that is trained reads its texts anew.
    """

    def __init__(self, encoder: PretrainedEncoder) -> None:
        self.encoder = encoder

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the vectors that were made before; by now the weights are those of the checkpoint, if there is one."""
        if pl_module.device_mesh is not None:  # of divided weights there is no digest, and they are restored later
            self.encoder.cache = None
            return
        folder = getattr(getattr(trainer, "datamodule", None), "cache", None)
        self.encoder.use_cache(folder / "vectors" if isinstance(folder, Path) else None, trainer.precision)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See :meth:`on_fit_start`."""
        self.on_fit_start(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See :meth:`on_fit_start`."""
        self.on_fit_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the new vectors."""
        self._save()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the new vectors."""
        self._save()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the new vectors."""
        self._save()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the new vectors."""
        self._save()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves the new vectors, also where the command is broken off."""
        self._save()

    def _save(self) -> None:
        if self.encoder.cache is not None:
            try:
                self.encoder.cache.save()
            except WritingError as error:  # the training can do without
                rank_zero_info(str(error))
