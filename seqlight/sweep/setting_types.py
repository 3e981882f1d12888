"""Which settings take whole numbers alone, as the classes that they configure say."""

import dataclasses
import functools
import types
import typing
from typing import Any

from seqlight.checkpoints import known_class
from seqlight.command.arguments import config_contents, option_path
from seqlight.core.signatures import parameters_of
from seqlight.recipes import config_path
from seqlight.sweep.sweep_file import Sweep

# Settings of the Trainer: a number of batches if whole, a fraction otherwise.
BATCHES = ("trainer.limit_", "trainer.overfit_batches", "trainer.val_check_interval")


def takes_whole_numbers(sweep: Sweep, key: str) -> bool:
    """Whether a search draws whole numbers for a setting.

    They are drawn where the setting takes no others. Where it stands for a number or a fraction of batches, or is not
    known, they are drawn if all numbers of the range are whole.
    """
    space = sweep.search[key]
    kinds = number_types(annotation(tuple(sweep.config), key))
    if kinds and not key.startswith(BATCHES):
        return float not in kinds
    return all(isinstance(space[name], int) for name in ("low", "high", "step") if name in space)


def number_types(kind: Any) -> set[type]:
    """Which of int and float an annotation names, in a union too."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return set().union(*map(number_types, typing.get_args(kind)))
    return {kind} & {int, float}


@functools.cache
def annotation(configs: tuple[str, ...], key: str) -> Any:
    """The type of a setting of the model, the data or the Trainer; None if it cannot be told.

    Args:
        configs: The recipes, which name the classes of the model and the data.
        key: Such as ``model.optim.learning_rate``.
    """
    import lightning.pytorch

    import datamodules
    import seq_modules

    head, *fields = option_path(key)
    kind: Any = {"trainer": lightning.pytorch.Trainer}.get(head)
    for config in config_contents([f"--config={config_path(config)}" for config in configs]):
        section = config.get(head)
        path = section.get("class_path") if isinstance(section, dict) and head != "trainer" else section
        package = {"model": seq_modules, "data": datamodules}.get(head)
        kind = known_class(path, object) or getattr(package, str(path), kind)  # by its path, or one of ours by its name
    for name in (field for field in fields if field != "init_args"):
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind).get(name)
        elif isinstance(kind, type) and name in (parameters := parameters_of(kind)):
            kind = parameters[name].annotation
        else:
            return None
    return kind
