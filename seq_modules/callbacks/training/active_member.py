"""Which member of an ensemble a step trains."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy

from seq_modules.nets.ensemble import Ensemble
from seqlight.core.errors import UserError


class ActiveMember(Callback):
    """Trains the members of an ensemble in rotation: step s trains member s mod K.

    The choice follows from the step's number alone, so that a resumed training continues as an unbroken one. Systems
    with ``ensemble_size`` above 1 add this callback themselves.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Has DDP expect weights without gradients; Lightning wraps the module after this hook.

        Raises:
            UserError: The strategy has ``find_unused_parameters=False``: DDP waits for a gradient of every weight.
        """
        strategy, sizes = trainer.strategy, [len(ensemble.members) for ensemble in ensembles(pl_module)]
        if not isinstance(strategy, DDPStrategy) or max(sizes, default=1) == 1:
            return
        if not strategy._ddp_kwargs.setdefault("find_unused_parameters", True):
            raise UserError(
                f"ensemble_size {max(sizes)} leaves weights without gradients, which DDP waits for; "
                "use --trainer.strategy ddp, which allows for them"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the member that this step trains."""
        for ensemble in ensembles(pl_module):
            ensemble.active = trainer.global_step % len(ensemble.members)


def ensembles(module: LightningModule) -> list[Ensemble]:
    """All ensembles inside a module."""
    return [part for part in module.modules() if isinstance(part, Ensemble)]
