"""Hyperparameters: groups of them, checks of their values, and what of them a checkpoint saves.

A class takes ``optim: OptimConfig``, a frozen dataclass; the command line then has ``--model.optim.learning_rate``.
:func:`save_hyperparameters` saves a dict of plain values, which loads under torch's ``weights_only``, and
:func:`group_from` makes the group again from it.

A message of a check begins with the argument's name, so that the command line can say which option it is. A group's
fields are named with the group: ``check_range("optim.learning_rate", rate, above=0)``.
"""

import dataclasses
import inspect
import math
import shlex
from collections.abc import Mapping, Sequence
from operator import ge, gt, le, lt
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from seqlight.core.errors import UserError

OURS = ("seq_modules", "datamodules")  # packages whose classes are named by their roots
if TYPE_CHECKING:
    from lightning.pytorch.core.mixins import HyperparametersMixin

Group = TypeVar("Group")
MOST_WHOLE = 2**31 - 1
MOST_SEED = 2**63 - 1  # what every generator of random numbers takes


def check_range(
    name: str,
    value: float | None,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Refuses a number outside its range, NaN and infinity, and a whole number that no index holds.

    Args:
        name: The argument's name.
        value: Its value; None stands for an option that is left out, and passes.
        least: Smallest value allowed.
        most: Largest value allowed. Default: of whole numbers without ``below``, :data:`MOST_WHOLE`.
        above: The value must be larger than this.
        below: The value must be smaller than this.

    Raises:
        UserError: The value is not a number of the range.
    """
    if most is None and below is None and isinstance(value, int):
        most = MOST_WHOLE if value > MOST_WHOLE else None  # a message names it only where it matters
    if isinstance(value, float) and math.isinf(value) and most is None and below is None:
        raise UserError(f"{name} must be a finite number, not {value}")
    limits = (("at least", least, ge), ("above", above, gt), ("at most", most, le), ("below", below, lt))
    given = [(word, limit, holds) for word, limit, holds in limits if limit is not None]
    if value is not None and not all(holds(value, limit) for _, limit, holds in given):
        limits_said = " and ".join(f"{word} {shown_limit(limit)}" for word, limit, _ in given)
        raise UserError(f"{name} must be {limits_said}, not {value}")


def shown_limit(limit: float) -> str:
    """A limit in a message: a whole number with all its digits, as 4294967295."""
    return str(limit) if isinstance(limit, int) else f"{limit:g}"


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Refuses a value that is none of the choices.

    Args:
        name: The argument's name.
        value: Its value.
        choices: A Literal type, or a sequence of values.

    Raises:
        UserError: The value is none of them.
    """
    allowed: Sequence[Any] = choices if isinstance(choices, list | tuple) else get_args(choices)
    if value not in allowed:
        raise UserError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def refuse_both(name: str, value: Any, other: str, other_value: Any) -> None:
    """Refuses two arguments of which one alone may be given; None stands for one that is left out.

    Args:
        name: The first argument's name.
        value: Its value.
        other: The other's name.
        other_value: Its value.

    Raises:
        UserError: Both are given.
    """
    if value is not None and other_value is not None:
        shown = (
            f"{word} {held}" if isinstance(held, str) else word for word, held in ((name, value), (other, other_value))
        )
        raise UserError(f"{' and '.join(shown)} are both given; give one of them")


def required(name: str, value: Any) -> Any:
    """A value that the command line takes from the data; without data it must be given.

    Raises:
        UserError: It is None.
    """
    if value is None:
        raise UserError(f"{name} is not given, and no data is there to take it from")
    return value


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
    if unknown := sorted(map(str, set(value) - set(hints))):
        raise UserError(f"{unknown[0]} is no field of {cls.__name__}; there are {', '.join(hints)}")
    made = {
        name: group_from(hints[name], held) if dataclasses.is_dataclass(hints[name]) else held
        for name, held in value.items()
    }
    return cls(**made)


def save_hyperparameters(
    self: "HyperparametersMixin", *args: Any, frame: FrameType | None = None, **kwargs: Any
) -> None:
    """Lightning's method, never given to the logger, with groups of arguments as plain dicts."""
    from lightning.pytorch.core.mixins import HyperparametersMixin  # the checks are also used where it is not loaded

    frame = frame or inspect.currentframe().f_back  # type: ignore[union-attr]
    HyperparametersMixin.save_hyperparameters(self, *args, frame=frame, **{"logger": False, **kwargs})
    for name, value in self.hparams.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            self.hparams[name] = dataclasses.asdict(value)


def class_path(cls: type) -> str:
    """The import path of a class of ours by its package's root, where it stays; of another class, by its module."""
    package = cls.__module__.partition(".")[0]
    return f"{package if package in OURS else cls.__module__}.{cls.__qualname__}"


def class_options(paths: Mapping[str, str]) -> str:
    """`` --model mine.MyModel --data mine.MyData`` for the class paths of a user's own classes, which no checkpoint's
    words import; nothing for classes of ours.

    Args:
        paths: Class paths by the option that names them, without its dashes.
    """
    own = {option: path for option, path in paths.items() if path.partition(".")[0] not in OURS}
    return "".join(f" --{option} {shlex.quote(path)}" for option, path in own.items())
