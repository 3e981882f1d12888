"""What Lightning does not restore by itself when a training is resumed."""

from typing import Any

from lightning.pytorch import Callback, Trainer
from torch import Tensor

from seqlight.core.checkpoint_file.training_state import check_metrics, check_optimizers, check_schedules, fits
from seqlight.core.errors import UserError

RATES = ("lr", "initial_lr")  # of a parameter group: all else is as given now, not the checkpoint's


class ResumeTraining(Callback):
    """Goes on with the training metrics of an epoch that was broken off, and lets the optimiser's options be changed.

    Lightning fills the optimiser's parameter groups from the checkpoint, with the settings of the earlier run in them,
    and forgets what the metrics had counted. Every system adds this callback itself.
    """

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []  # of each parameter group, as given now
        self.metrics: dict[str, dict[str, Tensor]] = {}  # states of the checkpoint's training metrics
        self.epoch: int | None = None  # the epoch in the middle of which training was resumed
        self.states: dict[str, list[Any]] = {}  # the checkpoint's, of the optimisers and their schedules

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds the states of the training metrics, summed over ranks; Lightning calls this on every rank."""
        checkpoint["train_metrics"] = {
            name: {
                key: trainer.strategy.reduce(value.clone(), reduce_op="sum")
                for key, value in metric.metric_state.items()
            }
            for name, metric in pl_module.train_metrics.items(keep_base=True)
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Takes the states of the training metrics.

        Raises:
            UserError: The rest of a training is to use another optimiser, whose state the checkpoint lacks, or the
                states are not those of the model's metrics.
        """
        if trainer.state.fn != "fit":
            return
        wanted = pl_module.optim.optimizer
        held = checkpoint.get("hyper_parameters", {}).get("optim", {}).get("optimizer", wanted)
        if held != wanted:
            raise UserError(f"optim.optimizer {wanted} cannot go on from a training with {held}; leave it out")
        self.metrics = checkpoint.get("train_metrics", {})
        metrics = dict(pl_module.train_metrics.items(keep_base=True))
        fits(trainer.ckpt_path, lambda: check_metrics(self.metrics, metrics))
        self.states = {name: checkpoint.get(name, []) for name in ("optimizer_states", "lr_schedulers")}

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Notes the optimiser's settings; Lightning has made it, and fills it from the checkpoint after this.

        Raises:
            UserError: The checkpoint's state of an optimiser or a schedule is of another.
        """
        if self.states and pl_module.device_mesh is None:
            schedules = [config.scheduler for config in trainer.lr_scheduler_configs]
            fits(trainer.ckpt_path, lambda: check_optimizers(self.states["optimizer_states"], trainer.optimizers))
            fits(trainer.ckpt_path, lambda: check_schedules(self.states["lr_schedulers"], schedules))
        self.states = {}
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        self.settings = [{name: value for name, value in group.items() if name != "params"} for group in groups]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Puts settings and metrics in their places, after Lightning has restored the rest."""
        if trainer.ckpt_path is not None:
            self.apply_settings(trainer)
        self.epoch = trainer.current_epoch if self.metrics else None
        if trainer.is_global_zero:  # the checkpoint has the sums over all ranks: one of them goes on from there
            for name, state in self.metrics.items():
                for key, value in state.items():
                    setattr(pl_module.train_metrics[name], key, value.to(pl_module.device))
        self.metrics = {}

    def apply_settings(self, trainer: Trainer) -> None:
        """Lets learning rates, weight decay and all other settings given now override the checkpoint's."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if len(groups) == len(self.settings):
            for group, wanted in zip(groups, self.settings, strict=True):
                group.update({name: value for name, value in wanted.items() if name not in RATES})
                # Without a schedule the rate is its own peak.
                change = wanted.get("initial_lr", wanted["lr"]) / group.get("initial_lr", group["lr"])
                for name in {"lr", "initial_lr"} & group.keys():
                    group[name] *= change
        for config in trainer.lr_scheduler_configs:
            groups = config.scheduler.optimizer.param_groups
            config.scheduler.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Begins the epoch's metrics anew, except in the rest of an epoch that was broken off."""
        if trainer.current_epoch != self.epoch:
            pl_module.train_metrics.reset()
