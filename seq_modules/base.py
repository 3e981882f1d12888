"""What every system shares: the stages, their metrics, the optimiser. It knows no architecture and no data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from seq_modules.training.metrics import MeanLoss
from seq_modules.training.optim import OptimConfig, build_optimizer
from seq_modules.training.progress import budget_of
from seq_modules.training.resume import ResumedTraining, metric_states
from seq_modules.training.schedule import scheduler
from seqlight.core.config_groups import PlainHyperparameters, group_from
from seqlight.core.errors import UserError


class Step(NamedTuple):
    """What a system's ``step`` gives for one batch.

    Attributes:
        loss_sum: Sum of the loss over the targets that count, a scalar with its graph.
        num_targets: How many targets those are, a scalar.
        metric_inputs: Keyword arguments for the metrics' ``update``; each metric takes those it names.
    """

    loss_sum: Tensor
    num_targets: Tensor
    metric_inputs: dict[str, Tensor]


class SequenceModule(PlainHyperparameters, LightningModule):
    """Base of the systems.

    A subclass builds its net in ``__init__``, calls ``save_hyperparameters``, and writes ``forward`` (inference),
    :meth:`step` (a batch's loss and what to measure) and ``predict_step`` (rows, each with its ``index``).

    Args:
        metrics: The system's metrics by name, beside the loss; logged as ``val/<name>`` and so on.
        optim: Optimiser and schedule.
    """

    def __init__(self, metrics: Mapping[str, Metric], optim: OptimConfig | dict[str, Any]) -> None:
        super().__init__()
        self.optim = group_from(OptimConfig, optim)
        evaluated: dict[str, Metric | MetricCollection] = {"loss": MeanLoss(), **metrics}
        collection = MetricCollection(evaluated, compute_groups=False)
        self.train_metrics = MetricCollection(dict(metrics), compute_groups=False).clone(prefix="train/")
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")
        self._resumed = ResumedTraining()

    def step(self, batch: Any) -> Step:
        """Loss and metric inputs of one batch."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The batch's mean loss, from ``step``'s sum and count."""
        step = self.step(batch)
        loss = step.loss_sum / self._mean_over_ranks(step.num_targets)
        self.log("train/loss", loss.detach(), prog_bar=True, sync_dist=self.trainer.world_size > 1)
        self.measure(self.train_metrics, step)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measures a validation batch."""
        self.measure(self.val_metrics, self.step(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Measures a test batch."""
        self.measure(self.test_metrics, self.step(batch))

    def measure(self, metrics: MetricCollection, step: Step) -> None:
        """Updates a stage's metrics, which torchmetrics sums over batches and ranks: every target counts once."""
        inputs = {name: value.detach() for name, value in step.metric_inputs.items()}
        metrics.update(loss_sum=step.loss_sum.detach(), num_targets=step.num_targets, **inputs)
        self.log_dict(metrics, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)

    def _mean_over_ranks(self, num_targets: Tensor) -> Tensor:
        """The number of targets, averaged over ranks, so that DDP's mean of gradients is that of the joined batch.

        Ranks hold different numbers of unpadded targets; a mean of their means would weigh the targets unequally.
        """
        if self.trainer.world_size == 1:
            return num_targets
        mean = self.trainer.strategy.reduce(num_targets.detach().float(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    def make_optimizer(self) -> Optimizer:
        """The optimiser, as the group ``optim`` says."""
        return build_optimizer(self, self.optim)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser with its schedule, stepped per optimiser step; a rate that never changes needs none."""
        config, optimizer = self.optim, self.make_optimizer()
        self._resumed.request(optimizer)
        if config.schedule == "constant" and not config.warmup_steps:
            return optimizer
        # Asking for the number of steps builds the training loader, so only a schedule that needs it asks.
        total = float("inf") if config.schedule == "constant" else self.trainer.estimated_stepping_batches
        shape = (config.schedule, config.warmup_steps, total, config.decay_fraction, config.min_lr_ratio)
        schedule = scheduler(optimizer, *shape, budget=budget_of(self.trainer))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Takes up what Lightning does not restore, after it has restored the rest."""
        if isinstance(wrapped := self.trainer.strategy.model, DistributedDataParallel):
            # Buffers never change here, and one rank may have a batch more to validate: sending them before each
            # batch would set ranks waiting for one another.
            wrapped.broadcast_buffers = False
        self._resumed.apply_settings(self.trainer)
        self._resumed.restore_metrics(self, self.train_metrics)

    def on_train_epoch_start(self) -> None:
        """Begins the epoch's metrics anew, except in the rest of an epoch that was broken off."""
        if self.trainer.current_epoch != self._resumed.epoch:
            self.train_metrics.reset()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses another optimiser for the rest of a training, and remembers the epoch's metrics."""
        if self._trainer is not None and self.trainer.state.fn == "fit":
            held = checkpoint.get("hyper_parameters", {}).get("optim", {}).get("optimizer", self.optim.optimizer)
            if held != self.optim.optimizer:
                raise UserError(f"optim.optimizer {self.optim.optimizer} cannot resume a training with {held}")
        self._resumed.metrics = checkpoint.get("train_metrics", {})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Names the class, by which the command line and ``seqlight.load`` find it again; a root's class by the root."""
        checkpoint["train_metrics"] = metric_states(self, self.train_metrics)
        cls = type(self)
        package = cls.__module__.partition(".")[0]
        module = package if package == "seq_modules" else cls.__module__
        checkpoint.setdefault("hyper_parameters", {})["_class_path"] = f"{module}.{cls.__qualname__}"
