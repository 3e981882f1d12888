"""Checkpoints of untrained systems."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

from seq_modules import SequenceModule
from seqlight.core.hyperparameters import class_path


def content_of(module: SequenceModule, data: Any = None) -> dict[str, Any]:
    """What Lightning saves of a module, and of a datamodule."""
    found: dict[str, Any] = {
        "state_dict": module.state_dict(),
        "pytorch-lightning_version": lightning.__version__,
        "hyper_parameters": dict(module.hparams),
    }
    if data is not None:
        found["datamodule_hyper_parameters"] = {**data.hparams, "_class_path": class_path(type(data))}
    module.on_save_checkpoint(found)
    return found


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Saves a module's checkpoint; gives its path."""

    def saved(module: SequenceModule, data: Any = None, **more: Any) -> str:
        path = tmp_path / "model.ckpt"
        torch.save({**content_of(module, data), **more}, path)
        return str(path)

    return saved
