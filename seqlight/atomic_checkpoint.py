"""Checkpoint files that are always whole."""

import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Saves into a file beside the old one, then renames it: a process that is killed leaves the old checkpoint.

    Lightning's own writes to the system's temporary folder first; when that is on another disk, moving the file is not
    atomic. It also holds a second copy of the checkpoint in memory.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves a checkpoint; a path with a protocol (``s3://``) is left to Lightning."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            torch.save(checkpoint, part)
            if path.is_dir():  # a checkpoint in parts, of an earlier run with divided weights
                shutil.rmtree(path)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
