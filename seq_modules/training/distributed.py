"""The Trainer of a module, and its processes."""

from lightning.pytorch import LightningModule, Trainer
from torch.nn.parallel import DistributedDataParallel


def trainer_of(module: LightningModule) -> Trainer | None:
    """The module's Trainer, or None while it has none."""
    try:
        return module.trainer
    except RuntimeError:  # Lightning's way to say so
        return None


def keep_buffers_apart(module: LightningModule) -> None:
    """Stops DDP from sending buffers before each batch.

    No buffer here changes from batch to batch but the means of ``net.standardize``, which the ranks put together before
    a validation. And one rank may have a batch more to validate: it would wait for the others for ever.
    """
    if isinstance(wrapped := module.trainer.strategy.model, DistributedDataParallel):
        wrapped.broadcast_buffers = False
