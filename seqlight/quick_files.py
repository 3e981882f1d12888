"""Lightning's two files of a run, metrics and checkpoints, written at less cost."""

import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only


class BufferedCSV(CSVLogger):
    """Writes ``metrics.csv`` once a second at most, and whole at the end; Lightning's opens it at each logged step."""

    _written = float("-inf")

    @rank_zero_only
    def save(self) -> None:
        """Called by Lightning after everything that is logged."""
        if time.monotonic() - self._written >= 1:
            super().save()
            self._written = time.monotonic()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes the rest."""
        self._written = float("-inf")
        super().finalize(status)


class DirectCheckpoints(TorchCheckpointIO):
    """Saves straight into a file beside the old one, then puts it in its place; Lightning's copies it in memory first.

    A checkpoint is whole or not there, whenever the process may end.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves; a path with a protocol (``s3://``) is left to Lightning."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            torch.save(checkpoint, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
