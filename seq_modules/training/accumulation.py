"""Accumulated batches whose gradient is that of the global batch, whatever number of targets each of them has."""

from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn


def in_window(trainer: Trainer, batch_idx: int) -> bool:
    """Whether gradients are still being accumulated after this batch: no checkpoint holds them."""
    return bool((batch_idx + 1) % trainer.accumulate_grad_batches) and not trainer.is_last_batch


@dataclass
class Accumulation:
    """Weighs the targets of ``trainer.accumulate_grad_batches`` batches equally.

    Lightning adds up the batches' mean losses, divided by the number of batches: a mean of means, in which a target of
    a short batch weighs more, and which is too small where an epoch ends with fewer batches. How many targets a window
    has is known at its end alone. So each loss is divided by the first batch's number of targets, and the gradients
    are scaled once, before they are clipped.

    Attributes:
        batch_idx: Number of the last batch in its epoch.
        counts: Targets of each batch of the window so far.
    """

    batch_idx: int = 0
    counts: list[Tensor] = field(default_factory=list)

    def weigh(self, loss: Tensor, count: Tensor, trainer: Trainer, batch_idx: int) -> Tensor:
        """The loss to be returned to Lightning.

        Args:
            loss: A batch's mean loss.
            count: Its number of targets, averaged over ranks.
            trainer: The trainer.
            batch_idx: The batch's number in its epoch.
        """
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.counts = []
        self.batch_idx = batch_idx
        self.counts.append(count)
        return loss * (count / self.unit(trainer))

    def unit(self, trainer: Trainer) -> Tensor:
        """What every loss of the window is divided by: the first batch's targets, or the least count if it has none."""
        return self.counts[0].clamp(min=1 / trainer.world_size)

    def finish(self, module: nn.Module, trainer: Any) -> None:
        """After a batch's backward pass: at the end of a window, gives the gradients the size of the global batch's."""
        if in_window(trainer, self.batch_idx):
            return
        total = torch.stack(self.counts).sum().clamp(min=1 / trainer.world_size)
        scale = trainer.accumulate_grad_batches * self.unit(trainer) / total
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(scale)
        self.counts = []
