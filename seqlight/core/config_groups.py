"""Groups of constructor arguments: frozen dataclasses in a signature, plain nested dicts in a checkpoint.

A class takes ``optim: OptimConfig``; the command line then has ``--model.optim.learning_rate``. What is saved is a dict
of plain values, which loads under torch's ``weights_only``, and from which :func:`group_from` makes the group again.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from types import FrameType
from typing import Any, TypeVar, get_type_hints

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


class PlainHyperparameters:
    """Mixin before LightningModule and LightningDataModule: ``save_hyperparameters`` turns groups into plain dicts."""

    def save_hyperparameters(self, *args: Any, frame: FrameType | None = None, **kwargs: Any) -> None:
        """Lightning's own, never given to the logger, with each group as a dict."""
        frame = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
        super().save_hyperparameters(*args, frame=frame, **{"logger": False, **kwargs})  # type: ignore[misc]
        hparams = self.hparams  # type: ignore[attr-defined]
        for name, value in hparams.items():
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                hparams[name] = dataclasses.asdict(value)
