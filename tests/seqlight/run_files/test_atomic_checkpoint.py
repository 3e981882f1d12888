"""Checkpoint files are whole, whatever happens while they are written."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqlight.run_files.atomic_checkpoint import AtomicCheckpointIO


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path, files = tmp_path / "new folder" / "best.ckpt", AtomicCheckpointIO()
    files.save_checkpoint({"a": torch.ones(2)}, path)

    class Unsaveable:
        def __reduce__(self) -> Any:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        files.save_checkpoint({"a": torch.zeros(2), "b": Unsaveable()}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["best.ckpt"]
