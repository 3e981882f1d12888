"""``best.ckpt``: the model at its best on the validation data."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from seqlight.core.checks import check_choice


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best value of a metric, across resumed runs too.

    A resumed run has a folder of its own. The best checkpoint beside the one it resumes from is copied there, with its
    score, so that ``best.ckpt`` is the best of the whole training.

    Args:
        monitor: A metric of validation.
        mode: "min" or "max".

    Raises:
        UserError: The mode is neither.
    """

    def __init__(self, monitor: str = "val/loss", mode: str = "min") -> None:
        check_choice("mode", mode, ("min", "max"))
        super().__init__(
            monitor=monitor,
            mode=mode,
            filename="best",
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,  # after validation: the metric of these very weights
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Finds the run's folder, as LastCheckpoint does; on every rank."""
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores nothing: the score is read from the best checkpoint's own file when training starts.

        A last checkpoint may be older than the best beside it: a training that ends in the middle of an epoch, as a
        timed one does, is saved before its final validation, and one that was killed, some time before.
        """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copies the best checkpoint so far."""
        super().on_train_start(trainer, pl_module)
        if not trainer.ckpt_path:
            return
        before = Path(trainer.ckpt_path).with_name("best.ckpt")
        # Rank 0 alone need reach the file; all ranks must compare with the same score.
        score = trainer.strategy.broadcast(self._score_in(before) if trainer.is_global_zero else None)
        if score is None:
            return
        assert self.dirpath is not None
        path = Path(self.dirpath) / "best.ckpt"
        if trainer.is_global_zero and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if before.is_dir() else shutil.copyfile)(before, path)
        self.best_model_score = self.kth_value = torch.tensor(score)
        self.best_model_path = self.kth_best_model_path = str(path)
        self.best_k_models = {str(path): self.best_model_score}

    def _score_in(self, path: Path) -> float | None:
        """The score of a best checkpoint; None if the file is not the best checkpoint by this metric."""
        path = path / "meta.pt" if path.is_dir() else path  # a checkpoint in parts (seqlight/sharded_checkpoints.py)
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return float(content["callbacks"][self.state_key]["best_model_score"])
        except (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, pickle.UnpicklingError):
            return None
