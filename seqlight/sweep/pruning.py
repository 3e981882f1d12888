"""Which trials are stopped on the way: those that one of Optuna's pruners finds worse than others."""

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
    """The name of the pruner that a sweep asks for, None by default, and the arguments of Optuna's class."""
    given = dict(sweep.pruner) if isinstance(sweep.pruner, dict) else {"name": sweep.pruner}
    return given.pop("name", None), given


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
