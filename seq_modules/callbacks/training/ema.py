"""Weights averaged over training."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from seq_modules.nets.precision import at_least_float32
from seq_modules.training.progress import progress_of
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range

KEY = "training_weights"  # in a checkpoint, whose state dict holds the averaged ones
WIDE = "averaged_weights"  # and those of them that the state dict holds in less precision


class EMA(Callback):
    """Validates and saves an exponential moving average of the weights (Polyak & Juditsky 1992).

    Checkpoints hold the average as the model, and beside it the training weights. After the fit the module has the
    average. Early in training the mean reaches back over a tenth of the updates so far, so that the first weights are
    soon forgotten.

    Lightning's WeightAveraging puts the average in place of the training weights before the last checkpoint is saved,
    so training could not resume as if unbroken; it also restores them before samples are drawn after a validation.

    Args:
        decay: Of the average, for a step, at least 0 and below 1; it reaches back about 1 / (1 - decay) steps.
        start_fraction: Fraction of the training after which averaging begins, from 0 to 1; before, the weights
            themselves are validated and saved.
        every_n_steps: Optimiser steps between two updates of the average, at least 1.

    Raises:
        UserError: A value is out of its range, or the strategy shards the weights.
    """

    def __init__(self, decay: float = 0.999, start_fraction: float = 0.0, every_n_steps: int = 1) -> None:
        check_range("decay", decay, least=0, below=1)
        check_range("start_fraction", start_fraction, least=0, most=1)
        check_range("every_n_steps", every_n_steps, least=1)
        self.decay, self.start_fraction, self.every_n_steps = decay, start_fraction, every_n_steps
        self.updates, self._last_step = 0, 0
        self._average: dict[str, Tensor] = {}  # in float32 at least; empty until averaging begins
        self._training: dict[str, Tensor] = {}  # the training weights, while the average is in their place

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Resets the state of an earlier fit."""
        if stage == "fit":
            if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
                raise UserError(f"EMA needs whole weights, which {type(trainer.strategy).__name__} does not have")
            self.updates, self._last_step, self._average, self._training = 0, 0, {}, {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Moves an average loaded from a checkpoint to the weights' device."""
        weights = _weights(pl_module)
        self._average = {name: value.to(weights[name].device) for name, value in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the average toward the weights."""
        step = trainer.global_step
        if step == self._last_step or step % self.every_n_steps:  # the same step: gradients are being accumulated
            return
        self._last_step = step
        if self.start_fraction and not self._average and progress_of(trainer) < self.start_fraction:
            return
        # In half precision a small step toward the weights would be rounded away.
        weights = {name: at_least_float32(p.detach()) for name, p in _weights(pl_module).items()}
        if not self._average:
            self._average = {name: value.clone() for name, value in weights.items()}
        fraction = max(1 - self.decay**self.every_n_steps, 10 / (10 + self.updates))
        move = get_ema_multi_avg_fn(1 - fraction)  # toward the weights, all tensors at once
        move(list(self._average.values()), [weights[name] for name in self._average], None)
        self.updates += 1

    @torch.no_grad()
    def _swap_in(self, pl_module: LightningModule) -> None:
        if self._average and not self._training:
            weights = _weights(pl_module)
            self._training = {name: p.detach().clone() for name, p in weights.items()}
            _copy(self._average, weights)

    @torch.no_grad()
    def _swap_out(self, pl_module: LightningModule) -> None:
        if self._training:
            _copy(self._training, _weights(pl_module))
            self._training = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the average into the module, where it stays for all callbacks at the end of the validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._swap_in(pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Restores the training weights."""
        self._swap_out(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the training weights."""
        self._swap_out(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restores the training weights."""
        self._swap_out(pl_module)

    @torch.no_grad()
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the average in the module, after the last checkpoint was saved."""
        self._training = {}
        _copy(self._average, _weights(pl_module))

    def state_dict(self) -> dict[str, int]:
        """The counters of the average."""
        return {"updates": self.updates, "last_step": self._last_step}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restores the counters."""
        self.updates, self._last_step = state_dict["updates"], state_dict["last_step"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Makes the average the checkpoint's model."""
        if not self._average:
            return
        weights = _weights(pl_module)
        training = self._training or {name: p.detach() for name, p in weights.items()}
        checkpoint[KEY] = {name: value.clone() for name, value in training.items()}
        narrow = {name for name, p in weights.items() if p.dtype != self._average[name].dtype}
        checkpoint[WIDE] = {name: self._average[name].clone() for name in narrow}
        names = {p: name for name, p in weights.items()}
        for name, p in pl_module.named_parameters(remove_duplicate=False):  # a tied weight has several names
            if p in names:
                checkpoint["state_dict"][name] = self._average[names[p]].to(p.dtype, copy=True)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restores the training weights to resume; to evaluate, the average is loaded already."""
        if trainer.state.fn != "fit" or KEY not in checkpoint:
            return
        weights = _weights(pl_module)
        average = checkpoint["state_dict"] | checkpoint[WIDE]
        self._average = {name: average[name].clone() for name in weights}
        with torch.no_grad():
            _copy(checkpoint[KEY], weights)


def _weights(pl_module: LightningModule) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in pl_module.named_parameters() if p.requires_grad}


def _copy(values: dict[str, Tensor], into: dict[str, torch.nn.Parameter]) -> None:
    for name, value in values.items():
        into[name].copy_(value)
