"""Which trials are stopped on the way: those that one of Optuna's pruners finds worse than others."""

import contextlib
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice
from seqlight.sweep.sweep_file import Sweep

PRUNERS: dict[str, type[BasePruner]] = {
    "median": MedianPruner,
    "successive_halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
}


class Pruned(optuna.TrialPruned):
    """A trial that was stopped, because others were better at the same validation.

    Args:
        message: When it was, and with which value.
        folder: The run's.
    """

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


def pruner_settings(sweep: Sweep) -> tuple[Any, dict[str, Any]]:
    """The name of the pruner that a sweep asks for, None by default, and the arguments of Optuna's class.

    A word such as 1e-3 is a number, as in a search.

    Raises:
        UserError: Options are given without a name.
    """
    if not isinstance(sweep.pruner, dict):
        return sweep.pruner, {}
    given = dict(sweep.pruner)
    if "name" not in given:
        raise UserError(f"sweep {sweep.name}: pruner has no name; there are {', '.join(PRUNERS)}")
    name = given.pop("name")
    return name, {key: read_number(value) for key, value in given.items()}


def read_number(value: Any) -> Any:
    """A value of a sweep's file: a number where it is a word such as 1e-3, which YAML takes for a word."""
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            found = float(value)
            return int(found) if found.is_integer() else found
    return value


def make_pruner(sweep: Sweep) -> BasePruner:
    """Optuna's pruner that a sweep asks for; one that stops nothing by default.

    Raises:
        UserError: There is none of that name, or it does not take those arguments.
    """
    if sweep.pruner is None:
        return NopPruner()
    name, arguments = pruner_settings(sweep)
    check_choice(f"sweep {sweep.name}: pruner", name, list(PRUNERS))
    try:
        return PRUNERS[name](**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"sweep {sweep.name}: pruner {name}: {error}") from error
