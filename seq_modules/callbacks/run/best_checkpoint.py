"""``best.ckpt``: the model at its best on the validation data."""

import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.protocols.systems import HasFilePrints
from seqlight.core.checkpoint_file.changes import NOT_VALIDATED, changes
from seqlight.core.checkpoint_file.checksum import is_whole
from seqlight.core.checkpoint_file.reading import read_plain
from seqlight.core.errors import UserError
from seqlight.core.files.replacing import replacing
from seqlight.core.files.write_errors import writing
from seqlight.core.hyperparameters import check_choice


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best value of a metric, across resumed runs too.

    A resumed run has a folder of its own. The best checkpoint beside the one it resumes from is copied there, with its
    score, so that ``best.ckpt`` is the best of the whole training. It is not if it is of another training, or if the
    validation data are others now: what is best is best on the data at hand.

    Args:
        monitor: A metric of validation.
        mode: "min" or "max".

    Raises:
        UserError: The mode is neither.
    """

    def __init__(self, monitor: str = "val/loss", mode: str = "min") -> None:
        check_choice("mode", mode, ("min", "max"))
        self._resumed: dict[str, Any] = {}  # this callback's state in the checkpoint that training resumes from
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

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the model if it is the best; an unknown metric ends training, before its first step if it can."""
        name, known = self.monitor, trainer.callback_metrics
        due = trainer.state.fn == "fit" and (not trainer.sanity_checking or str(name).startswith("val/"))
        if due and name not in (None, "epoch", "step", *known):
            there = ", ".join(sorted(key for key in known if key.startswith("val/")))
            raise UserError(f"best_checkpoint.monitor {name} is not measured on these data; there are {there}")
        super().on_validation_end(trainer, pl_module)

    def check_monitor_top_k(self, trainer: Trainer, current: torch.Tensor | None = None) -> bool:
        """Whether a model is the best so far; one whose metric or loss is no number never is, were it the first."""
        loss = trainer.callback_metrics.get("val/loss")
        is_sound = current is not None and bool(current.isfinite()) and (loss is None or bool(loss.isfinite().all()))
        return is_sound and super().check_monitor_top_k(trainer, current)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Notes the state; the score is read from the best checkpoint's own file when training starts.

        A last checkpoint may be older than the best beside it: a training that ends in the middle of an epoch, as a
        timed one does, is saved before its final validation, and one that was killed, some time before.
        """
        self._resumed = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copies the best checkpoint so far."""
        super().on_train_start(trainer, pl_module)
        if not trainer.ckpt_path:
            return
        before = Path(trainer.ckpt_path).with_name("best.ckpt")
        # Rank 0 alone need reach the file; all ranks must compare with the same score.
        score = trainer.strategy.broadcast(self._score_in(before, trainer) if trainer.is_global_zero else None)
        if score is None:
            return
        assert self.dirpath is not None
        path = Path(self.dirpath) / "best.ckpt"
        if trainer.is_global_zero and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with writing(path), replacing(path) as part:
                (shutil.copytree if before.is_dir() else shutil.copyfile)(before, part)
        self.best_model_score = self.kth_value = torch.tensor(score)
        self.best_model_path = self.kth_best_model_path = str(path)
        self.best_k_models = {str(path): self.best_model_score}

    def _score_in(self, path: Path, trainer: Trainer) -> float | None:
        """The score of a best checkpoint; None if it is not the best of this training, by this metric, on this data."""
        if not path.exists():
            return None
        if not is_whole(path):
            rank_zero_info(f"{path} is damaged: best.ckpt is the best of the validations from here on")
            return None
        path = path / "meta.pt" if path.is_dir() else path  # a checkpoint in parts (run_files/sharded_checkpoints.py)
        try:
            content = read_plain(path)
            state = content["callbacks"][self.state_key]
            score = float(state["best_model_score"])
        except (ValueError, TypeError, KeyError, OSError):
            rank_zero_info(
                f"{path} is no best checkpoint by {self.monitor}, and not taken for the best of this training"
            )
            return None
        # One that was copied from an earlier run has that run's folder, and the score that the last checkpoint knows.
        known = self._resumed.get("best_model_score")
        if state.get("dirpath") != self._resumed.get("dirpath") and (known is None or float(known) != score):
            rank_zero_info(f"{path} is of another training than {trainer.ckpt_path}, and not taken for its best")
            return None
        data = trainer.datamodule  # type: ignore[attr-defined]
        arguments = None if data is None else dict(data.hparams)
        files = data.file_prints() if isinstance(data, HasFilePrints) else {}
        if changed := changes(content, arguments, files, NOT_VALIDATED):
            rank_zero_info(f"{changed[0]}: best.ckpt is the best of the validations from here on")
            return None
        return score
