"""What every system shares: the stages, their metrics, the optimiser. It knows no architecture and no data."""

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from seq_modules.training.metrics import MeanLoss
from seq_modules.training.optim import Schedule, adamw, muon, scheduler
from seq_modules.training.progress import budget_of
from seqlight.core.errors import UserError


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
        cooldown: Share of the training at its end in which "linear" falls, above 0 and at most 1.
        final_lr_share: What "cosine" and "linear" leave of the learning rate, from 0 to 1.
        optimizer: AdamW for all, or Muon for the matrices in ``net.blocks`` (which alone decay then) and AdamW for the
            rest.
        muon_learning_rate: Peak learning rate of Muon, above 0.
        muon_iterations: Newton-Schulz iterations of Muon, at least 1.
        beta1: AdamW's decay of the mean gradient.
        beta2: AdamW's decay of the mean squared gradient.
    """

    fused_adamw: ClassVar[bool] = False  # a big net's system sets it: much quicker there, and different in rounding

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        learning_rate: float,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        schedule: Schedule = "constant",
        cooldown: float = 1.0,
        final_lr_share: float = 0.0,
        optimizer: Literal["adamw", "muon"] = "adamw",
        muon_learning_rate: float = 0.02,
        muon_iterations: int = 5,
        beta1: float = 0.9,
        beta2: float = 0.999,
    ) -> None:
        super().__init__()
        for name, rate in (("learning_rate", learning_rate), ("muon_learning_rate", muon_learning_rate)):
            if not rate > 0:
                raise UserError(f"{name} must be above 0, not {rate}")
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not 0 <= beta < 1:
                raise UserError(f"{name} must be at least 0 and below 1, not {beta}")
        if not 0 < cooldown <= 1:
            raise UserError(f"cooldown must be above 0 and at most 1, not {cooldown}")
        if not 0 <= final_lr_share <= 1:
            raise UserError(f"final_lr_share must be from 0 to 1, not {final_lr_share}")
        if weight_decay < 0:
            raise UserError(f"weight_decay must be 0 or more, not {weight_decay}")
        if warmup_steps < 0:
            raise UserError(f"warmup_steps must be 0 or more, not {warmup_steps}")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.warmup_steps, self.schedule = warmup_steps, schedule
        self.cooldown, self.final_lr_share = cooldown, final_lr_share
        if muon_iterations < 1:
            raise UserError(f"muon_iterations must be at least 1, not {muon_iterations}")
        self.optimizer, self.muon_learning_rate, self.betas = optimizer, muon_learning_rate, (beta1, beta2)
        self.muon_iterations = muon_iterations
        self._peak_rates: list[float] = []  # of each of the optimiser's groups, as asked for now
        self._resumed_epoch: int | None = None  # the epoch that a resumed run began in the middle of
        self._train_metrics_before: dict[str, dict[str, Tensor]] = {}
        evaluated: dict[str, Metric | MetricCollection] = {"loss": MeanLoss(), **metrics}
        collection = MetricCollection(evaluated, compute_groups=False)
        self.train_metrics = MetricCollection(dict(metrics), compute_groups=False).clone(prefix="train/")
        self.val_metrics = collection.clone(prefix="val/")
        self.test_metrics = collection.clone(prefix="test/")

    def __setattr__(self, name: str, value: Any) -> None:
        """As torch's, with a short way for the hook's name, which Lightning notes down forty times a step."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

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
        # Lightning is told of it once an epoch, when its count begins anew; it asks for the value at the end.
        if any(metric.update_count == 1 for metric in metrics.values()):
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

    def _sum_over_ranks(self, value: Any) -> Any:
        """A metric's state, summed over ranks, on all of which a checkpoint is put together."""
        if self._trainer is None or self.trainer.world_size == 1:
            return value
        return self.trainer.strategy.reduce(value.clone(), reduce_op="sum")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser with the chosen schedule, stepped per optimiser step; a rate that never changes needs none."""
        optimizer = self._optimizer()
        self._peak_rates = [group["lr"] for group in optimizer.param_groups]
        if self.schedule == "constant" and not self.warmup_steps:
            return optimizer
        # Asking for the number of steps builds the training loader, so only a schedule that needs it asks.
        total = float("inf") if self.schedule == "constant" else self.trainer.estimated_stepping_batches
        schedule = scheduler(
            optimizer,
            self.schedule,
            self.warmup_steps,
            total,
            cooldown=self.cooldown,
            final_share=self.final_lr_share,
            budget=budget_of(self.trainer),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _optimizer(self) -> Optimizer:
        if self.optimizer == "adamw":
            return adamw(self.parameters(), self.learning_rate, self.weight_decay, self.betas, self.fused_adamw)
        net = getattr(self, "net", self)
        rates = (self.learning_rate, self.muon_learning_rate)
        return muon(self, net, *rates, self.weight_decay, self.betas, self.muon_iterations)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses another optimiser for the rest of a training, and remembers the epoch's metrics."""
        if self._trainer is not None and self.trainer.state.fn == "fit":
            held = checkpoint.get("hyper_parameters", {}).get("optimizer", self.optimizer)
            if held != self.optimizer:
                raise UserError(f"optimizer {self.optimizer} cannot go on from a training with {held}; leave it out")
        self._train_metrics_before = checkpoint.get("train_metrics", {})

    def on_train_start(self) -> None:
        """Goes on with the epoch's metrics, and lets learning rates and a decay given anew win over the optimiser's.

        Lightning has restored the optimiser, with the old values in it, by now.
        """
        if isinstance(wrapped := self.trainer.strategy.model, DistributedDataParallel):
            # Buffers never change here, and one rank may have a batch more to validate: sending them before each
            # batch would set ranks waiting for one another.
            wrapped.broadcast_buffers = False
        if self.trainer.is_global_zero:  # the checkpoint holds the sums over all ranks
            for name, state in self._train_metrics_before.items():
                for key, value in state.items():
                    setattr(self.train_metrics[name], key, value.to(self.device))
        self._resumed_epoch = self.trainer.current_epoch if self._train_metrics_before else None
        self._train_metrics_before = {}
        if self.trainer.ckpt_path is not None:
            groups = [group for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
            for group, peak in zip(groups, self._peak_rates, strict=False):  # none of an optimiser of one's own
                self._renew(group, peak)
        for config in self.trainer.lr_scheduler_configs:
            groups = config.scheduler.optimizer.param_groups
            config.scheduler.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]

    def on_train_epoch_start(self) -> None:
        """Begins the epoch's metrics anew, also where a resumed rest of an epoch had no step that is logged."""
        if self.trainer.current_epoch != self._resumed_epoch:
            self.train_metrics.reset()

    def _renew(self, group: dict[str, Any], peak: float) -> None:
        """Puts the settings given anew into a parameter group that a checkpoint has filled."""
        # Muon's system decays its hidden matrices alone, AdamW's all matrices.
        decays = group["rule"] == "muon" if "rule" in group else any(p.ndim >= 2 for p in group["params"])
        if decays:
            group["weight_decay"] = self.weight_decay
        if "betas" in group:
            group["betas"] = self.betas
        change = peak / group.get("initial_lr", group["lr"])  # without a schedule the rate is its own peak
        for key in {"lr", "initial_lr"} & group.keys():
            group[key] *= change

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Names the class in the checkpoint, by which the command line and ``seqlight.load`` find it again."""
        metrics = self.train_metrics.items(keep_base=True)
        checkpoint["train_metrics"] = {
            name: {key: self._sum_over_ranks(value) for key, value in metric.metric_state.items()}
            for name, metric in metrics
        }
        cls = type(self)
        package = cls.__module__.partition(".")[0]
        module = package if package == "seq_modules" else cls.__module__
        checkpoint.setdefault("hyper_parameters", {})["_class_path"] = f"{module}.{cls.__qualname__}"


# Lightning asks at every step for the names of its arguments; a signature that lies ready is found three times as fast.
SequenceModule.training_step.__signature__ = inspect.signature(SequenceModule.training_step)  # type: ignore[attr-defined]
