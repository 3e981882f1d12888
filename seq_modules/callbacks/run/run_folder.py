"""Where a run's files go."""

from pathlib import Path

from lightning.pytorch import Trainer


def run_folder(trainer: Trainer) -> Path:
    """Folder of the current run; needs no other rank, so that rank 0 may call it alone."""
    folder = getattr(trainer.logger, "log_dir", None) or trainer.default_root_dir
    return Path(folder)
