"""A checkpoint in use: its model and the preparation of its data, as ``predict`` has them; and which ones there are."""

import copy
import shlex
from pathlib import Path
from typing import Any

import torch

import datamodules  # noqa: F401  a checkpoint names a class that is known already
from datamodules import SequenceDataModule
from seq_modules import SequenceModule
from seqlight.checkpoints import (
    CHECKPOINTS,
    class_settings,
    known_class,
    module_of,
    read_checkpoint,
    refusing_arguments,
)
from seqlight.core.errors import UserError
from seqlight.runs import own_classes

NAMES = ("best", "last")  # checkpoints of a run that are offered


class Trained:
    """A checkpoint's model, in evaluation mode on the CPU. Nothing changes it, so that several people may use it.

    Args:
        path: The checkpoint.

    Attributes:
        module: The model.
        words: Options of a command that uses the checkpoint.

    Raises:
        UserError: The checkpoint is damaged, or of a class that is not known.
    """

    def __init__(self, path: Path) -> None:
        content = read_checkpoint(path)
        self.path, self.module = path, module_of(content, path)
        self.words = f"--ckpt_path {shlex.quote(str(path))}{own_classes(content)}"
        self._settings = class_settings(content, "datamodule_hyper_parameters", SequenceDataModule, path)
        self._state: dict[str, Any] | None = None
        if self._settings is not None:
            cls: Any = known_class(self._settings["class_path"], SequenceDataModule)
            self._class, self._state = cls, content.get(cls.__qualname__)

    def make(self, **arguments: Any) -> Any:
        """The checkpoint's datamodule with some other arguments.

        Raises:
            UserError: An argument is wrong, or the checkpoint says nothing of its data.
        """
        if self._settings is None:
            raise UserError(f"{self.path}: holds no settings of data; train a model with data of a datamodule")
        with refusing_arguments(self._class, self.path):
            return self._class(**{**self._settings["init_args"], **arguments, "num_workers": 0})

    def data(self, **arguments: Any) -> Any:
        """As :meth:`make`, with the model's tokenizer, prepared for ``predict``."""
        data = self.make(**arguments)
        if self.module.tokenizer is not None:
            data.tokenizer = self.module.tokenizer
        data.setup("predict")
        if self._state is not None:
            data.load_state_dict(self._state)
        return data

    def batch(self, **arguments: Any) -> dict[str, Any]:
        """The first batch to predict of :meth:`data`."""
        return first_batch(self.data(**arguments))


def first_batch(data: SequenceDataModule) -> dict[str, Any]:
    """The first batch to predict."""
    return next(iter(data.predict_dataloader()))


@torch.inference_mode()
def predicted(module: SequenceModule, batch: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that ``predict`` gives for a batch."""
    return module.predict_step(batch, 0)


def with_settings(module: Any, **settings: Any) -> Any:
    """The same model, with the same weights, and other settings of its predictions, such as ``decoding``."""
    view = copy.copy(module)
    for name, value in settings.items():
        setattr(view, name, value)
    return view


def checkpoints_below(root: str) -> list[Path]:
    """The best and the last checkpoints of all runs in a folder, the newest runs first."""
    found = [file for name in NAMES for file in Path(root).rglob(f"{CHECKPOINTS}/{name}.ckpt")]
    return sorted(found, key=lambda file: (-newest_in(file.parent), NAMES.index(file.stem), str(file)))


def newest_in(folder: Path) -> int:
    """When the newest checkpoint of a folder was written, in nanoseconds."""
    return max(file.stat().st_mtime_ns for file in folder.glob("*.ckpt"))
