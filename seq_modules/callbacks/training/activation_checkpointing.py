"""Less memory for a longer step: activations of blocks are computed again instead of kept."""

from functools import partial

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.checkpoint import checkpoint

from seq_modules.nets.transformer.block import Block
from seqlight.core.errors import UserError


class ActivationCheckpointing(Callback):
    """Keeps Transformer blocks' inputs alone for the backward pass, which computes the rest again (Chen et al. 2016).

    Gradients are the same to the bit, dropout included: the generators' states are restored for the second computation.
    Names in checkpoints stay. For any system whose net is made of ``Block``; works with Compile, with DDP and with
    divided weights.

    Raises:
        UserError: The system has no such blocks.
    """

    def __init__(self) -> None:
        self._wrapped: list[Block] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wraps the blocks' ``forward``."""
        blocks = [module for module in pl_module.modules() if isinstance(module, Block)]
        if not blocks:
            raise UserError(
                f"ActivationCheckpointing needs a net of Transformer blocks, which {type(pl_module).__name__} has not; "
                "leave it out"
            )
        for block in blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
        self._wrapped = blocks

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leaves the blocks as they were."""
        for block in self._wrapped:
            del block.forward  # the class's own shows again
        self._wrapped = []
