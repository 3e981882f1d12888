"""What Lightning does not restore by itself when a training is resumed."""

import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from seq_modules.protocols.systems import HasFilePrints, ResumesRows
from seqlight.core.checkpoint_file.changes import changes
from seqlight.core.checkpoint_file.training_state import (
    check_gradients,
    check_metrics,
    check_optimizers,
    check_schedules,
    fits,
)
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
        self.gradients: dict[str, Tensor] = {}  # the checkpoint's, if it was saved between accumulated batches
        self.counts: list[float] = []  # targets of those batches

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Adds what an epoch and accumulated batches have come to so far; Lightning calls this on every rank.

        The states of the training metrics are summed over ranks. Gradients are saved where there is one rank: several
        save no ``last.ckpt`` between accumulated batches.
        """
        if pl_module.accumulation.counts and trainer.world_size == 1:
            grads = {name: weight.grad for name, weight in pl_module.named_parameters() if weight.grad is not None}
            checkpoint["gradients"] = grads
            checkpoint["accumulated"] = [count.item() for count in pl_module.accumulation.counts]
        checkpoint["data_files"] = _prints_of(trainer)
        progress: Any = trainer.fit_loop.epoch_progress.current
        if progress.processed == progress.ready:  # the epoch is over
            return
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
        self._follow_data(trainer, checkpoint)
        self.metrics = checkpoint.get("train_metrics", {})
        self.gradients, self.counts = checkpoint.get("gradients", {}), checkpoint.get("accumulated", [])
        fits(trainer.ckpt_path, lambda: check_gradients(self.gradients, dict(pl_module.named_parameters())))
        metrics = dict(pl_module.train_metrics.items(keep_base=True))
        fits(trainer.ckpt_path, lambda: check_metrics(self.metrics, metrics))
        self.states = {name: checkpoint.get(name, []) for name in ("optimizer_states", "lr_schedulers")}

    def _follow_data(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        """Logs what is other than it was, and lets Lightning count an epoch's batches in their present size."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        arguments = None if data is None else dict(data.hparams)
        said = changes(checkpoint, arguments, _prints_of(trainer))
        settings = (checkpoint.get("config") or {}).get("trainer") or {}
        before, now = settings.get("accumulate_grad_batches"), trainer.accumulate_grad_batches
        if before not in (None, now):
            said.append(f"trainer.accumulate_grad_batches was {before} and is now {now}")
        progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress")
        in_epoch = progress is not None and not progress["is_last_batch"]
        done = data.resumed_batches() if in_epoch and isinstance(data, ResumesRows) else None
        if done is not None and done != progress["current"]["ready"]:
            counts = progress["current"]
            is_open = counts["ready"] - counts["completed"]  # 1 if it was saved before the batch had ended
            counts |= {"ready": done, "started": done, "processed": done, "completed": done - is_open}
            said = said or ["a batch of all processes has another size than it had"]
        if said:
            rest = "; rows of the epoch that was broken off may come twice or not at all" if in_epoch else ""
            rank_zero_info(f"training goes on with other settings: {', '.join(said)}{rest}")

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
        _prints_of(trainer)  # before the files may change
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
        if self.metrics and trainer.is_last_batch:  # of that epoch its end is left, and perhaps a validation
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*was called before the ``update`` method.*")
                pl_module.log_dict(pl_module.train_metrics.compute(), on_step=False, on_epoch=True)
        weights = dict(pl_module.named_parameters())
        for name, grad in self.gradients.items():
            weights[name].grad = grad.to(weights[name])
        pl_module.accumulation.counts = [torch.tensor(count, device=pl_module.device) for count in self.counts]
        self.metrics, self.gradients, self.counts = {}, {}, []

    def apply_settings(self, trainer: Trainer) -> None:
        """Lets learning rates, weight decay and all other settings given now override the checkpoint's."""
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if len(groups) == len(self.settings):
            for group, wanted in zip(groups, self.settings, strict=True):
                group.update({name: value for name, value in wanted.items() if name not in RATES})
                # Without a schedule the rate is its own peak.
                peak, held = wanted.get("initial_lr", wanted["lr"]), group.get("initial_lr", group["lr"])
                for name in {"lr", "initial_lr"} & group.keys():
                    group[name] = group[name] * (peak / held) if held else peak  # of 0 there is no fraction
        for config in trainer.lr_scheduler_configs:
            groups = config.scheduler.optimizer.param_groups
            config.scheduler.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Begins the epoch's metrics anew, except in the rest of an epoch that was broken off."""
        if trainer.current_epoch != self.epoch:
            pl_module.train_metrics.reset()


def _prints_of(trainer: Trainer) -> dict[str, str]:
    """What the files of the data hold, as rank 0 reads them."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data.file_prints() if trainer.is_global_zero and isinstance(data, HasFilePrints) else {}
