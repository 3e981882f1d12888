"""How the gradients of every weight are distributed, over training."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from seq_modules.callbacks.loggers.media import log_histograms
from seqlight.core.hyperparameters import check_range


class GradientHistograms(Callback):
    """Logs a histogram of the gradient of each weight, before clipping, as ``gradients/<weight>``.

    The names are those of W&B's ``watch``, which looks at every backward pass on its own: with accumulated batches it
    sees parts of a gradient, and under 16-mixed a scaled one. Here gradients are whole, and TensorBoard has them too.

    Args:
        every: Steps between two histograms, at least 1.

    Raises:
        UserError: ``every`` is below 1.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, every: int = 100) -> None:
        check_range("every", every, least=1)
        self.every = every

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Lightning calls this after the gradients are whole and before it clips them."""
        if trainer.global_step % self.every == 0:
            named = pl_module.named_parameters()
            log_histograms(trainer, {f"gradients/{name}": p.grad for name, p in named if p.grad is not None})
