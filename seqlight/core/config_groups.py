"""Groups of constructor arguments: frozen dataclasses in a signature, plain nested dicts in a checkpoint.

A class takes ``optim: OptimConfig``; the command line then has ``--model.optim.learning_rate``.
:func:`save_hyperparameters` saves a dict of plain values, which loads under torch's ``weights_only``, and
:func:`group_from` makes the group again from it.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from types import FrameType
from typing import Any, TypeVar, get_type_hints

from lightning.pytorch.core.mixins import HyperparametersMixin

from seqlight.core.errors import UserError

Group = TypeVar("Group")


def group_from(cls: type[Group], value: Any) -> Group:
    """The group itself, or made from the plain dict that a checkpoint or a caller in Python gives.

    Raises:
        UserError: The dict has a key that is no field of the group.
    """
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise UserError(f"{cls.__name__} must be made of a mapping of its fields, not of {value!r}")
    hints = get_type_hints(cls)
    if unknown := sorted(set(value) - set(hints)):
        raise UserError(f"{unknown[0]} is no field of {cls.__name__}; there are {', '.join(hints)}")
    made = {
        name: group_from(hints[name], held) if dataclasses.is_dataclass(hints[name]) else held
        for name, held in value.items()
    }
    return cls(**made)


def save_hyperparameters(self: HyperparametersMixin, *args: Any, frame: FrameType | None = None, **kwargs: Any) -> None:
    """Lightning's method, never given to the logger, with groups of arguments as plain dicts."""
    frame = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
    HyperparametersMixin.save_hyperparameters(self, *args, frame=frame, **{"logger": False, **kwargs})
    for name, value in self.hparams.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            self.hparams[name] = dataclasses.asdict(value)


def class_path(cls: type) -> str:
    """The import path of a class of ours by its package's root, where it stays; of another class, by its module."""
    package = cls.__module__.partition(".")[0]
    return f"{package if package in ('seq_modules', 'datamodules') else cls.__module__}.{cls.__qualname__}"
