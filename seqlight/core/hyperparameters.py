"""What systems and datamodules save of their constructor's arguments."""

import dataclasses
import inspect
from types import FrameType
from typing import Any

from lightning.pytorch.core.mixins import HyperparametersMixin


def save_hyperparameters(self: HyperparametersMixin, *args: Any, frame: FrameType | None = None, **kwargs: Any) -> None:
    """Lightning's method, never given to the logger, with groups of arguments as plain dicts."""
    frame = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
    HyperparametersMixin.save_hyperparameters(self, *args, frame=frame, **{"logger": False, **kwargs})
    make_plain(self.hparams)


def make_plain(hparams: Any) -> None:
    """Turns the groups among saved hyperparameters into plain dicts, in place."""
    for name, value in hparams.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            hparams[name] = dataclasses.asdict(value)
