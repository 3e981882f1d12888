"""What a sweep file holds, and how it is read."""

import itertools
import math
import operator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import check_choice, check_range
from seqlight.core.yaml_text import read_settings, yaml_text
from seqlight.recipes import check_yaml, recipe_path

KINDS = {
    "metric": (str, "a metric"),
    "config": (list, "a list"),
    "grid": (dict, "settings with their values"),
    "search": (dict, "settings with their values"),
    "set": (dict, "settings with their values"),
    "trials": (int, "a number"),
    "test": (bool, "true or false"),
    "storage": (str | None, "a database's address"),
    "report.success": (dict, "metrics with their least values"),
    "report.columns": (list, "a list"),
    "report.curve": (str | None, "a metric"),
}


@dataclass
class Report:
    """What a sweep's table and picture show, beside the settings: the group ``report`` of its file.

    Attributes:
        success: ``{metric: least value}``: what a solved trial must reach.
        columns: Metrics of the table, each as mean, standard deviation, minimum, median and maximum; beside what the
            runs log there are "fit/seconds", the time of the whole training command, and "fit/steps".
        curve: A metric to draw over the steps.
    """

    success: dict[str, float] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    curve: str | None = None


@dataclass
class Sweep:
    """What a sweep file holds.

    Attributes:
        name: Of the study, and of its folder under ``runs/sweeps/``.
        config: Recipes or files that all trials share, in order.
        metric: What a trial is judged by: a metric that it logs, the last value.
        direction: "maximize" or "minimize".
        grid: Setting -> values; every combination is one trial. The setting "config" takes recipes.
        search: Setting -> ``{low, high, log, step}`` or ``{choices}``; sampled by Optuna's TPE, ``trials`` times.
        trials: Number of trials of a search.
        pruner: Which of Optuna's pruners stops trials that do badly on the way: "median", "successive_halving" or
            "hyperband", or ``{name: ...}`` with arguments of Optuna's class; by default none.
        set: Setting -> value, for all trials.
        test: Whether to test each trained model as well.
        seeds: The setting, or a list of them, whose values are repetitions of the same thing, such as seeds and folds:
            the table's rows are taken over them.
        storage: A PostgreSQL database, ``postgresql://user@host/name``, which machines share over the network; by
            default a journal in the sweep's folder, which machines with a common file system share.
        report: What its table and picture show.
    """

    name: str
    config: list[str]
    metric: str
    direction: Literal["maximize", "minimize"] = "maximize"
    grid: dict[str, list[Any]] = field(default_factory=dict)
    search: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: int = 20
    pruner: str | dict[str, Any] | None = None
    set: dict[str, Any] = field(default_factory=dict)
    test: bool = True
    seeds: str | list[str] = "seed_everything"
    storage: str | None = None
    report: Report = field(default_factory=Report)

    @property
    def repeated(self) -> list[str]:
        """The settings that are repetitions."""
        return self.seeds if isinstance(self.seeds, list) else [self.seeds]

    @property
    def folder(self) -> Path:
        """Where the files of this machine's processes lie."""
        return Path("runs", "sweeps", self.name)

    @property
    def combinations(self) -> list[dict[str, Any]]:
        """The settings of each trial of the grid. The repetitions are outermost, so that every row has one first."""
        keys = sorted(self.grid, key=lambda key: key not in self.repeated)
        return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(self.grid[k] for k in keys))]

    def __post_init__(self) -> None:
        self.name = str(self.name)  # a year, say, is a number to YAML
        here = f"sweep {self.name}:"
        if not Path(self.name).name or Path(self.name).is_absolute() or ".." in Path(self.name).parts:
            raise UserError(f"{here} name must be that of a folder below runs/sweeps/, not {self.name!r}")
        for key, (kind, words) in KINDS.items():
            value = operator.attrgetter(key)(self)
            if not isinstance(value, kind):
                raise UserError(f"{here} {key} must hold {words}, not {value!r}")
            for word in value if isinstance(value, list | dict) else ():
                if not isinstance(word, str):
                    raise UserError(f"{here} {key} must hold words, not {word!r}")
        for metric, least in self.report.success.items():
            self.report.success[metric] = number(f"{here} report.success.{metric}", least)
        self.search = {key: checked_range(f"{here} search.{key}", space) for key, space in self.search.items()}
        for key, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise UserError(f"{here} grid.{key} must be a list of values, not {values!r}")
            written = [yaml_text(value, one_line=True) for value in values]
            if twice := [value for value in written if written.count(value) > 1]:
                raise UserError(f"{here} grid.{key} holds {twice[0]} twice; a trial is run once")
        if not all(isinstance(key, str) for key in self.repeated):
            raise UserError(f"{here} seeds must be a setting or a list of settings, not {self.seeds!r}")
        if bool(self.grid) == bool(self.search):
            raise UserError(f"{here} give either grid or search, and not both")
        check_choice(f"{here} direction", self.direction, ["maximize", "minimize"])
        check_range(f"{here} trials", self.trials, least=1)


def checked_range(name: str, space: Any) -> dict[str, Any]:
    """A setting's values in a search, with numbers for words such as 1e-3, which YAML takes for a word.

    Args:
        name: Of the setting, for messages.
        space: ``{low, high, log, step}`` or ``{choices}``.

    Raises:
        UserError: It is neither, or no number lies in it.
    """
    if not isinstance(space, dict) or not ({"low", "high"} <= space.keys() or "choices" in space):
        raise UserError(f"{name} needs low and high, or choices, not {space!r}")
    known = {"choices"} if "choices" in space else {"low", "high", "log", "step"}
    if unknown := sorted(map(str, space.keys() - known)):
        raise UserError(f"{name} has {unknown[0]}; there are {', '.join(sorted(known))}")
    if "choices" in space:
        if not isinstance(space["choices"], list) or not space["choices"]:
            raise UserError(f"{name}.choices must be a list of values, not {space['choices']!r}")
        return space
    numbers = {key: number(f"{name}.{key}", space[key]) for key in ("low", "high", "step") if key in space}
    log = space.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"{name}.log must be true or false, not {log!r}")
    if numbers["low"] > numbers["high"]:
        raise UserError(f"{name}: low {numbers['low']} is above high {numbers['high']}")
    check_range(f"{name}.step", numbers.get("step"), above=0)
    if log and (numbers["low"] <= 0 or "step" in numbers):
        raise UserError(f"{name}: with log, low must be above 0, not {numbers['low']}, and there is no step")
    return {**numbers, **({"log": log} if "log" in space else {})}


def number(name: str, value: Any) -> int | float:
    """A finite number, also one that YAML takes for a word.

    Raises:
        UserError: It is none.
    """
    try:
        found = value if isinstance(value, int | float) and not isinstance(value, bool) else float(value)
        if math.isfinite(found):
            return found
    except (TypeError, ValueError):
        pass
    raise UserError(f"{name} must be a number, not {value!r}")


def read_sweep(name: str) -> Sweep:
    """A sweep from a file or from a recipe's name."""
    path = (
        expanded(name)
        if expanded(name).is_file()
        else recipe_path(name.removeprefix("configs/")) or recipe_path(f"sweeps/{name}")
    )
    if path is None:
        raise UserError(f"sweep {name}: no such file and no sweep of that name; `seqlight configs` lists them")
    check_yaml(path, "sweep")
    return sweep_from(read_settings(path.read_text(encoding="utf-8")), f"sweep {path}:")


def sweep_from(content: dict[str, Any], where: str) -> Sweep:
    """A sweep from the content of its file.

    Args:
        content: Keys and values.
        where: What messages about the keys begin with.

    Raises:
        UserError: A key is unknown or missing, or a value is out of its range.
    """
    check_keys(where, content, Sweep)
    if missing := [key for key in ("name", "config", "metric") if content.get(key) is None]:
        raise UserError(f"{where} the key {missing[0]} is missing")
    shown = content.get("report", {})
    check_keys(f"{where} report:", shown, Report)
    return Sweep(**{**content, "report": Report(**shown)})


def check_keys(where: str, content: Any, kind: type[Sweep] | type[Report]) -> None:
    """Refuses what does not hold settings with names that a kind has.

    Raises:
        UserError: There is an unknown name, or there are no names.
    """
    known = [f.name for f in fields(kind)]
    if not isinstance(content, dict):
        raise UserError(f"{where} give {', '.join(known)}, not {content!r}")
    if unknown := sorted(map(str, content.keys() - set(known))):
        raise UserError(f"{where} unknown key {unknown[0]}; there are {', '.join(sorted(known))}")
