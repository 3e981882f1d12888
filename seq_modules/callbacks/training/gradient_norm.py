"""The size of the gradient over training."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from seq_modules.training.progress import is_logged_step


class GradientNorm(Callback):
    """Logs the global norm of the gradient, before clipping, as ``grad/norm`` on each step that is logged.

    Vanishing and exploding gradients show here first (Pascanu, Mikolov & Bengio 2013).
    """

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Lightning calls this after the gradients are whole and before it clips them."""
        if not is_logged_step(trainer):
            return
        grads = [p.grad for p in pl_module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads)
        pl_module.log("grad/norm", norm.full_tensor() if isinstance(norm, DTensor) else norm)
