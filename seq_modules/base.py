"""What every system shares: the stages, their metrics, the optimiser. It knows no architecture and no data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from seq_modules.metrics import MeanLoss
from seq_modules.optim import Schedule, adamw, scheduler


class Step(NamedTuple):
    """What a system's ``step`` gives for one batch.

    Attributes:
        loss_sum: Sum of the loss over the items that count, a scalar with its graph.
        items: How many items those are, a scalar.
        measured: Keyword arguments for the metrics' ``update``; each metric takes those it names.
    """

    loss_sum: Tensor
    items: Tensor
    measured: dict[str, Tensor]


def is_logged_step(trainer: Trainer) -> bool:
    """Whether the step under way is one of every ``log_every_n_steps`` (0 logs none)."""
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return every > 0 and (trainer.global_step + 1) % every == 0


class SequenceModule(LightningModule):
    """Base of the systems.

    A subclass builds its net in ``__init__`` from plain values, calls ``save_hyperparameters``, and writes ``forward``
    (inference), :meth:`step` (a batch's loss and what to measure) and ``predict_step`` (rows, each with its ``index``).

    Args:
        metrics: The system's metrics by name, beside the loss; logged as ``val/<name>`` and so on.
        learning_rate: Peak learning rate of AdamW, above 0.
        weight_decay: Decay of matrices, 0 or more.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        learning_rate: float,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {learning_rate}")
        if weight_decay < 0:
            raise ValueError(f"weight_decay must be 0 or more, not {weight_decay}")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be 0 or more, not {warmup_steps}")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self._rate_change = 1.0
        self._train_metrics_before: dict[str, dict[str, Tensor]] = {}
        evaluated: dict[str, Metric | MetricCollection] = {"loss": MeanLoss(), **metrics}
        collection = MetricCollection(evaluated, compute_groups=False)
        self.train_metrics = MetricCollection(dict(metrics), compute_groups=False).clone(prefix="train/")
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")

    def step(self, batch: Any) -> Step:
        """Loss and measurements of one batch."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The batch's mean loss; every ``log_every_n_steps``-th batch is also measured and logged."""
        loss_sum, items, measured = self.step(batch)
        loss = loss_sum / self._mean_over_ranks(items)
        if is_logged_step(self.trainer):
            self.log("train/loss", loss.detach(), prog_bar=True, sync_dist=self.trainer.world_size > 1)
            self._measure(self.train_metrics, loss_sum, items, measured)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measures a validation batch."""
        self._measure(self.val_metrics, *self.step(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Measures a test batch."""
        self._measure(self.test_metrics, *self.step(batch))

    def _measure(self, metrics: MetricCollection, loss_sum: Tensor, items: Tensor, measured: dict[str, Tensor]) -> None:
        detached = {name: value.detach() for name, value in measured.items()}
        metrics.update(loss_sum=loss_sum.detach(), items=items, **detached)
        # A metric object is summed over batches and ranks by torchmetrics: every item counts once, padding never.
        self.log_dict(metrics, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)

    def _mean_over_ranks(self, items: Tensor) -> Tensor:
        """The number of items, averaged over ranks, so that DDP's mean of gradients is that of the joined batch.

        Ranks hold different numbers of unpadded items; a mean of their means would weigh the items unequally.
        """
        if self.trainer.world_size == 1:
            return items
        mean = self.trainer.strategy.reduce(items.detach().to(torch.float32), reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with the chosen schedule, stepped per optimiser step; a rate that never changes needs no schedule."""
        optimizer = adamw(self.parameters(), self.learning_rate, self.weight_decay)
        if self.schedule == "constant" and not self.warmup_steps:
            return optimizer
        # Asking for the number of steps builds the training loader, so only the schedule that needs it asks.
        total = self.trainer.estimated_stepping_batches if self.schedule == "cosine" else float("inf")
        schedule = scheduler(optimizer, self.schedule, self.warmup_steps, total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remembers by how much the learning rate was changed for the rest of a training."""
        before = checkpoint.get("hyper_parameters", {}).get("learning_rate", self.learning_rate)
        self._rate_change = self.learning_rate / before
        self._train_metrics_before = checkpoint.get("train_metrics", {})

    def on_train_start(self) -> None:
        """Goes on with the epoch's metrics, and lets a learning rate and a decay given anew win over the optimiser's.

        Lightning has restored the optimiser, with the old values in it, by now.
        """
        for name, state in self._train_metrics_before.items():
            for key, value in state.items():
                setattr(self.train_metrics[name], key, value.to(self.device))
        self._train_metrics_before = {}
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                if any(p.ndim >= 2 for p in group["params"]):
                    group["weight_decay"] = self.weight_decay
        if self._rate_change != 1.0:
            for config in self.trainer.lr_scheduler_configs:
                config.scheduler.base_lrs = [rate * self._rate_change for rate in config.scheduler.base_lrs]
            for optimizer in self.trainer.optimizers:
                for group in optimizer.param_groups:
                    for key in {"lr", "initial_lr"} & group.keys():
                        group[key] *= self._rate_change
            self._rate_change = 1.0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Names the class in the checkpoint, by which the command line and ``seqlight.load`` find it again."""
        metrics = self.train_metrics.items(keep_base=True)
        checkpoint["train_metrics"] = {name: dict(metric.metric_state) for name, metric in metrics}
        cls = type(self)
        package = cls.__module__.partition(".")[0]
        module = package if package == "seq_modules" else cls.__module__
        checkpoint.setdefault("hyper_parameters", {})["_class_path"] = f"{module}.{cls.__qualname__}"
