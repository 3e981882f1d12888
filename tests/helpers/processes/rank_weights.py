"""A callback for tests of several processes: what each of them holds in the end, of which rank 0 alone is saved."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class RankWeights(Callback):
    """Writes the weights of each process into ``weights-RANK.pt`` in the working directory."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning calls it in every process."""
        torch.save(dict(pl_module.named_parameters()), f"weights-{trainer.global_rank}.pt")
