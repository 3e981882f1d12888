"""Ends a training whose loss is no number any more."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch.optim import Optimizer

from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.errors import Diverged
from seqlight.core.hyperparameters import check_range

MOST_RATE = 1e37  # Adam's first step is ten times its rate, and a weight holds no more than 3.4e38


class StopWhenDiverged(Callback):
    """Ends training with an error once the loss of several batches in a row was NaN or infinite.

    A line says so at the first of them. No checkpoint is saved then: ``last.ckpt`` and ``best.ckpt`` stay those of a
    time before.

    Args:
        patience: Batches in a row, at least 1. A training that ends before has diverged if its last loss is no number.
        ask_every: Batches between two looks at the count where a look takes time: on a GPU, whose work it interrupts,
            and with several ranks, who must agree.

    Raises:
        UserError: A value is below 1.
        Diverged: In training. The message names the step and what to change.
    """

    def __init__(self, patience: int = 3, ask_every: int = 20) -> None:
        check_range("patience", patience, least=1)
        check_range("ask_every", ask_every, least=1)
        self.patience, self.ask_every = patience, ask_every
        self._count: torch.Tensor | None = None  # of losses in a row that were no numbers, up to the newest
        self._seen = self._in_a_row = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to count."""
        self._count, self._seen, self._in_a_row = None, 0, 0

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Ends training where a step would be larger than any weight, which the optimisers cannot compute."""
        rates = [
            group["lr"] for group in optimizer.param_groups if isinstance(group["lr"], float)
        ]  # no GPU is waited for
        if max(rates, default=0.0) > MOST_RATE:
            raise Diverged(
                f"training has diverged: at step {trainer.global_step} the learning rate is {max(rates):.4g}, and a "
                "step would be larger than any number; give a lower --model.optim.learning_rate",
                run_folder(trainer),
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Counts the batch, and looks at the count when it is due."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, torch.Tensor):
            return
        finite, self._seen = loss.detach().isfinite().all(), self._seen + 1
        before = torch.zeros((), device=loss.device) if self._count is None else self._count
        self._count = torch.where(finite, 0, before + 1)
        is_cheap = loss.device.type == "cpu" and trainer.world_size == 1
        if is_cheap or self._seen % self.ask_every == 0:
            earlier, self._in_a_row = self._in_a_row, self._check(trainer, pl_module, self.patience)
            if self._in_a_row and not earlier:
                rank_zero_info(f"\n{self._said(trainer, pl_module, self._in_a_row)}; training goes on for now")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the last loss, before the last checkpoint is saved."""
        self._check(trainer, pl_module, 1)

    def _check(self, trainer: Trainer, pl_module: LightningModule, least: int) -> int:
        """Ends training if a rank has had so many; the number of this rank's otherwise."""
        count = 0 if self._count is None else int(self._count)
        if not trainer.strategy.reduce_boolean_decision(count >= least, all=False):
            return count
        raise Diverged(
            f"training has diverged: {self._said(trainer, pl_module, count)}. Checkpoints in "
            f"{run_folder(trainer) / 'checkpoints'} are of a time before, if there are any",
            run_folder(trainer),
        )

    def _said(self, trainer: Trainer, pl_module: LightningModule, count: int) -> str:
        norm = ""
        if pl_module.device_mesh is None:  # of divided weights all processes would have to ask for it
            weights = torch.nn.utils.get_total_norm([weight.detach() for weight in pl_module.parameters()])
            norm = f" (norm of the weights: {weights:.4g})"
        batches = f"{count} batches in a row" if count > 1 else "a batch"
        return (
            f"up to step {trainer.global_step} the loss was NaN or infinite in {batches}{norm}; "
            "give a lower --model.optim.learning_rate, or --trainer.gradient_clip_val 1.0"
        )
