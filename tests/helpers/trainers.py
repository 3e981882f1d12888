"""A Trainer for tests: one process of the CPU, silent, and without files unless a callback writes some."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint


def quiet_trainer(folder: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    """A Trainer with some callbacks, which logs every step; ``settings`` are the Trainer's own and win."""
    quiet: dict[str, Any] = {
        "logger": False, "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False,
        "use_distributed_sampler": False, "log_every_n_steps": 1,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
    }  # fmt: skip
    return Trainer(callbacks=list(callbacks), default_root_dir=folder, **{**quiet, **settings})
