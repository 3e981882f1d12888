"""What every system shares: the stages, their metrics, the optimiser. It knows no architecture and no data."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from seq_modules.callbacks.run.resume_training import ResumeTraining
from seq_modules.training.accumulation import Accumulation
from seq_modules.training.distributed import keep_buffers_apart
from seq_modules.training.metrics.exact_metrics import ExactMetrics
from seq_modules.training.metrics.means import MeanLoss
from seq_modules.training.optim import OptimConfig, build_optimizer, with_schedule
from seq_modules.training.optimizers.rounding import with_stochastic_rounding
from seq_modules.training.sharding import class_of, shard
from seq_modules.training.tokenizer import check_tokenizer, save_tokenizer, take_tokenizer
from seqlight.core.hyperparameters import class_path, group_from, save_hyperparameters


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


class SequenceModule(LightningModule):
    """Base of the systems.

    A subclass builds its net in ``__init__``, calls ``save_hyperparameters``, and writes ``forward`` (inference),
    :meth:`step` (a batch's loss and what to measure) and ``predict_step`` (rows, each with its ``index``).

    Args:
        metrics: The system's metrics by name, beside the loss; logged as ``val/<name>`` and so on.
        optim: Optimiser and schedule.
    """

    save_hyperparameters = save_hyperparameters  # with groups of arguments as plain dicts
    tokenizer: Any = None  # the data's tokenizer, if it has one
    tokenizer_flags = "--data.tokenizer, --data.vocab_size and --data.tokenizer_path"  # options for another one

    def __init__(self, metrics: Mapping[str, Metric], optim: OptimConfig | dict[str, Any]) -> None:
        super().__init__()
        self.optim = group_from(OptimConfig, optim)
        collection = ExactMetrics({"loss": MeanLoss(), **metrics}, compute_groups=False)
        self.train_metrics = ExactMetrics(dict(metrics), compute_groups=False).clone(prefix="train/")
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")
        self.accumulation = Accumulation()

    def step(self, batch: Any) -> Step:
        """Loss and metric inputs of one batch."""
        raise NotImplementedError

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The batch's mean loss, from ``step``'s sum and count."""
        step = self.step(batch)
        # Divided by the ranks' mean number of targets, DDP's mean of gradients is the gradient of the global batch.
        count = self.trainer.strategy.reduce(step.num_targets.float(), reduce_op="mean")
        loss = step.loss_sum / count.clamp(min=1 / self.trainer.world_size)  # a batch without targets has loss 0
        self.log("train/loss", loss.detach(), prog_bar=True, sync_dist=self.trainer.world_size > 1)
        self.measure(self.train_metrics, step)
        if self.trainer.accumulate_grad_batches > 1:
            loss = self.accumulation.weigh(loss, count, self.trainer, batch_idx)
        return loss

    def on_after_backward(self) -> None:
        """Weighs the targets of accumulated batches equally."""
        if self.accumulation.counts:
            self.accumulation.finish(self, self.trainer)

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
        first = {k: metric for k, metric in metrics.items() if metric.update_count == 1}  # Lightning keeps a metric
        self.log_dict(first, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)

    def configure_model(self) -> None:
        """Divides the weights among processes if the strategy has a device mesh for that."""
        if self.device_mesh is not None:
            shard(self, self.device_mesh)

    def make_optimizer(self) -> Optimizer:
        """The optimiser, as the group ``optim`` says."""
        return build_optimizer(self, self.optim)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser with its learning-rate schedule; weights in bfloat16 are rounded stochastically."""
        return with_schedule(with_stochastic_rounding(self.make_optimizer()), self.optim, self)

    def configure_callbacks(self) -> list[Callback]:
        """Callbacks that a system adds to its Trainer; a subclass extends this list."""
        return [ResumeTraining()]

    def on_train_start(self) -> None:
        """Prepares several processes."""
        keep_buffers_apart(self)

    def setup(self, stage: str) -> None:
        """Takes the tokenizer of the data, if there is one."""
        take_tokenizer(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses another tokenizer."""
        check_tokenizer(self, checkpoint)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the tokenizer, and the class's path, by which ``seqlight.load`` finds it."""
        save_tokenizer(self, checkpoint)
        checkpoint.setdefault("hyper_parameters", {})["_class_path"] = class_path(class_of(self))
