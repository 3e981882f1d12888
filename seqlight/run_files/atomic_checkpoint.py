"""Checkpoint files that are always whole, and carry a checksum."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from seqlight.core.checkpoint_file.checksum import seal
from seqlight.core.files.replacing import remove, replacing
from seqlight.core.files.write_errors import writing


class AtomicCheckpointIO(TorchCheckpointIO):
    """Saves into a file beside the old one, then renames it: a process that is killed leaves the old checkpoint.

    Lightning's own writes to the system's temporary folder first; when that is on another disk, moving the file is not
    atomic. It also holds a second copy of the checkpoint in memory.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves a checkpoint; a path with a protocol (``s3://``) is left to Lightning.

        Raises:
            WritingError: It could not be written.
        """
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_checkpoint(checkpoint, Path(path))


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint's file in one step, in the place of a file or a folder.

    Raises:
        WritingError: It could not be written; what was there is left as it was.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            torch.save(content, part)
            seal(part)
            if path.is_dir():  # a checkpoint in parts, of an earlier run with divided weights
                remove(path)
