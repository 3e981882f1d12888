"""The Trainer of a module, and what its processes must agree on."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel


def trainer_of(module: LightningModule) -> Trainer | None:
    """The module's Trainer, or None while it has none."""
    try:
        return module.trainer
    except RuntimeError:  # Lightning's way to say so
        return None


def mean_over_ranks(module: LightningModule, count: Tensor) -> Tensor:
    """A batch's number of targets, averaged over ranks, so that DDP's mean of gradients is that of the joined batch.

    Ranks hold different numbers of unpadded targets; a mean of their means would weigh the targets unequally.
    """
    if module.trainer.world_size == 1:
        return count
    mean = module.trainer.strategy.reduce(count.detach().float(), reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean


def sum_over_ranks(module: LightningModule, value: Any) -> Any:
    """A tensor summed over ranks; to be called on all of them."""
    trainer = trainer_of(module)
    if trainer is None or trainer.world_size == 1:
        return value
    return trainer.strategy.reduce(value.clone(), reduce_op="sum")


def keep_buffers_apart(module: LightningModule) -> None:
    """Stops DDP from sending buffers before each batch.

    Buffers never change here, and one rank may have a batch more to validate: it would wait for the others for ever.
    """
    if isinstance(wrapped := module.trainer.strategy.model, DistributedDataParallel):
        wrapped.broadcast_buffers = False
