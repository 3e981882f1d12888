"""What Lightning does not restore by itself when a training is resumed."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MetricCollection

from seq_modules.training.distributed import sum_over_ranks, trainer_of
from seqlight.core.errors import UserError

SETTINGS = ("weight_decay", "betas")  # of a parameter group: the command line's value overrides the checkpoint's


class ResumedTraining:
    """The training metrics of an epoch that was broken off, and the optimiser's settings as given now.

    Lightning fills the optimiser's parameter groups from the checkpoint, with the settings of the earlier run in them;
    and it forgets what the metrics had counted.
    """

    def __init__(self) -> None:
        self.requested: list[dict[str, Any]] = []  # settings of each parameter group, as asked for now
        self.metrics: dict[str, dict[str, Tensor]] = {}  # states of the checkpoint's training metrics
        self.epoch: int | None = None  # the epoch in the middle of which training was resumed

    def request(self, optimizer: Optimizer) -> None:
        """Notes the settings of a fresh optimiser, before a checkpoint fills its groups."""
        self.requested = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]

    def apply_settings(self, trainer: Trainer) -> None:
        """Lets learning rates, weight decay and betas given now override the checkpoint's."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if trainer.ckpt_path is not None and len(groups) == len(self.requested):
            for group, wanted in zip(groups, self.requested, strict=True):
                group.update({name: wanted[name] for name in SETTINGS if name in group})
                # Without a schedule the rate is its own peak.
                change = wanted.get("initial_lr", wanted["lr"]) / group.get("initial_lr", group["lr"])
                for name in {"lr", "initial_lr"} & group.keys():
                    group[name] *= change
        for config in trainer.lr_scheduler_configs:
            groups = config.scheduler.optimizer.param_groups
            config.scheduler.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]

    def save(self, module: Any, checkpoint: dict[str, Any]) -> None:
        """Puts the training metrics into the checkpoint."""
        checkpoint["train_metrics"] = metric_states(module, module.train_metrics)

    def load(self, module: Any, checkpoint: dict[str, Any]) -> None:
        """Remembers the checkpoint's training metrics.

        Raises:
            UserError: The rest of a training is to use another optimiser, whose state the checkpoint lacks.
        """
        trainer, wanted = trainer_of(module), module.optim.optimizer
        held = checkpoint.get("hyper_parameters", {}).get("optim", {}).get("optimizer", wanted)
        if trainer is not None and trainer.state.fn == "fit" and held != wanted:
            raise UserError(f"optim.optimizer {wanted} cannot go on from a training with {held}; leave it out")
        self.metrics = checkpoint.get("train_metrics", {})

    def restore_metrics(self, module: Any) -> None:
        """Goes on with the metrics of the epoch; on rank 0, since the checkpoint holds the sums over all ranks."""
        self.epoch = module.trainer.current_epoch if self.metrics else None
        if module.trainer.is_global_zero:
            for name, state in self.metrics.items():
                for key, value in state.items():
                    setattr(module.train_metrics[name], key, value.to(module.device))
        self.metrics = {}


def metric_states(module: LightningModule, metrics: MetricCollection) -> dict[str, dict[str, Tensor]]:
    """Each metric's state, summed over ranks, all of which put a checkpoint together."""
    return {
        name: {key: sum_over_ranks(module, value) for key, value in metric.metric_state.items()}
        for name, metric in metrics.items(keep_base=True)
    }
