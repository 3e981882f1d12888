"""Checks of arguments. A message begins with the argument's name, so that the command line can say which option it is.

A group's fields are named with the group: ``check_range("optim.learning_rate", rate, above=0)``.
"""

import math
from collections.abc import Sequence
from operator import ge, gt, le, lt
from typing import Any, get_args

from seqlight.core.errors import UserError

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
        raise UserError(f"{name} must be {' and '.join(f'{word} {limit:g}' for word, limit, _ in given)}, not {value}")


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
