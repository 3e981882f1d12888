"""A command's settings before anything is made of them: layers, checks, then precision, run folder, loggers."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, get_type_hints

from lightning.pytorch.cli import LightningArgumentParser, Namespace

from seq_modules.callbacks import TimedBar
from seq_modules.generation.decoding_config import Decoding
from seqlight.checkpoints import known_class
from seqlight.command.arguments import classes_named, config_values, import_own_classes, option, values_as_configs
from seqlight.command.precision import settle
from seqlight.command.saved_settings import SavedSettings
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.hyperparameters import check_range
from seqlight.core.signatures import parameters_of
from seqlight.core.yaml_text import yaml_text
from seqlight.devices import is_one_of_several_machines
from seqlight.recipes import DEFAULTS, experiment_name
from seqlight.runs import new_run_folder, point_loggers

MOST_NUMPY_SEED = 2**32 - 1  # a run seeds NumPy too, which takes no larger one
# The Trainer's settings with their least values, and smaller ones that stand for something else.
TRAINER_LEAST: dict[str, tuple[int, tuple[int, ...]]] = {
    "max_epochs": (1, (-1,)),
    "min_epochs": (0, ()),
    "max_steps": (1, (-1,)),
    "min_steps": (0, ()),
    "limit_val_batches": (0, ()),
    "limit_test_batches": (0, ()),
    "limit_predict_batches": (0, ()),
    "overfit_batches": (0, ()),
    "num_sanity_val_steps": (0, (-1,)),
    "check_val_every_n_epoch": (1, ()),
    "log_every_n_steps": (0, ()),
    "accumulate_grad_batches": (1, ()),
    "gradient_clip_val": (0, ()),
    "reload_dataloaders_every_n_epochs": (0, ()),
    "num_nodes": (1, ()),
    "devices": (0, (-1,)),
}
TRAINER_ABOVE = ("limit_train_batches", "val_check_interval")  # 0 would train on nothing, or validate without end
TRAINER_FIXED = {"enable_checkpointing": True, "barebones": False}  # the other value allows no files
LONGEST_DEVICES = 1_000  # characters: numbers of more digits than Python reads are no devices
COPYING = ("spawn", "fork", "notebook")  # strategies whose processes are copies of this one


def check_settings(config: Namespace) -> None:
    """Refuses what Lightning would fail on later, without a word for the user.

    Args:
        config: The command's settings.

    Raises:
        UserError: The seed or a setting of the Trainer is out of its range, the strategy copies this process, or the
            run waits for machines that it cannot find.
    """
    seed = config.get("seed_everything")
    if not isinstance(seed, bool):
        check_range("--seed_everything", seed, least=0, most=MOST_NUMPY_SEED)
    for name, (least, also) in TRAINER_LEAST.items():
        value = config.trainer.get(name)
        numbers = value if isinstance(value, list) else [value]
        for number in numbers:
            if isinstance(number, int | float) and not isinstance(number, bool) and number not in also:
                check_range(f"--trainer.{name}", number, least=least)
    for name in TRAINER_ABOVE:
        value = config.trainer.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            check_range(f"--trainer.{name}", value, above=0)
    if isinstance(devices := config.trainer.get("devices"), str) and len(devices) > LONGEST_DEVICES:
        raise UserError(
            f"--trainer.devices must be a number or a list of them, not a text of {len(devices)} characters"
        )
    strategy = config.trainer.strategy
    if isinstance(strategy, str) and any(f"_{word}" in strategy for word in COPYING):
        raise UserError(
            f"--trainer.strategy {strategy}: copies of a process cannot share its files; use ddp, which starts new ones"
        )
    for name, usual in TRAINER_FIXED.items():
        if config.trainer.get(name) not in (None, usual):
            raise UserError(f"--trainer.{name} {str(not usual).lower()}: a run writes its files; leave it out")
    nodes = config.trainer.get("num_nodes")
    if isinstance(nodes, int) and nodes > 1 and not is_one_of_several_machines():
        raise UserError(
            f"--trainer.num_nodes {nodes}: nothing says where the other machines are; start the command on each by "
            "torchrun or SLURM's srun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK"
        )


def check_arguments(config: Namespace) -> None:
    """Refuses null for an argument of the model, the data or the decoding that cannot be None.

    Args:
        config: The command's settings.

    Raises:
        UserError: The message names the option.
    """
    for place, settings in (("model", config.model), ("data", config.get("data"))):
        if settings and (cls := known_class(settings.class_path, object)) is not None:
            check_nulls(place, types_of(cls), settings.init_args)
    check_nulls("decoding", get_type_hints(Decoding), config.decoding)


def types_of(cls: type) -> dict[str, Any]:
    """The types of a class's arguments, without those whose default is None, whatever their type says."""
    return {name: kept.annotation for name, kept in parameters_of(cls).items() if kept.default is not None}


def check_nulls(place: str, types: Mapping[str, Any], values: Mapping[str, Any] | Namespace) -> None:
    """Refuses null where a type has no None; the parser takes it for an option that is left out.

    Args:
        place: The option of the arguments, such as "model".
        types: Their types by name.
        values: Their values, those of groups among them.
    """
    for name, kind in types.items():
        value = values.get(name)
        if value is None and isinstance(kind, type) and kind not in (Any, NoneType) and name in values:
            word = """, or give '"null"' for the word""" if kind is str else ""
            raise UserError(f"{place}.{name} must be {kind.__name__}, not null; leave it out for its default{word}")
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping | Namespace):
            check_nulls(f"{place}.{name}", get_type_hints(kind), value)


def layered_settings(parser: LightningArgumentParser, words: list[str]) -> tuple[Namespace, SavedSettings | None]:
    """Settings laid over each other: configs/trainer/defaults.yaml, those of ``--ckpt_path``, configs, flags.

    Args:
        parser: The command's.
        words: The command line, the command first.

    Returns:
        The settings by command, and those of ``--ckpt_path``, if one is given.
    """
    command, *rest = words
    if command.startswith("--print_completion"):
        parser.parse_args(words)  # prints and exits
    import_own_classes(rest)
    layers, saved = [command, "--config", str(DEFAULTS)], None
    if checkpoint := option(rest, "--ckpt_path"):
        saved = SavedSettings(Path(checkpoint[1]), command, rest)
        for path in classes_named(rest, "model")[-1:]:
            if known_class(path, object):  # the parser would refuse an option of the one class in the other
                saved.check_class(path)
        # A layer each: a list of callbacks replaces the one before as a whole. A config may be given as its text.
        layers += ["--config", yaml_text(saved.config)] if saved.config else []
    config = parser.parse_args([*layers, *values_as_configs(rest)])
    check_settings(config[command])
    check_arguments(config[command])
    if saved:
        saved.check_class(config[command].model.class_path)
        saved.log_devices(config[command].trainer)
    return config, saved


def prepare_run(
    config: Namespace, command: str, words: list[str], saved: SavedSettings | None
) -> tuple[Path, dict[str, Any]]:
    """Makes the run's folder and points the loggers at it; the saved config omits the run folder.

    Args:
        config: The command's settings, which are changed.
        command: fit, validate, test or predict.
        words: The command line.
        saved: The settings of ``--ckpt_path``, if one is given.

    Returns:
        The folder, and the arguments of RunConfig.
    """
    settle(config.trainer, command, words)
    if config.experiment is None:
        names = [name for name in map(experiment_name, config_values(words)) if name]
        config.experiment = names[-1] if names else config.model.class_path.rpartition(".")[2]
    recipe = config.clone()
    recipe.ckpt_path = None  # a run of the saved config starts from scratch
    if saved:
        saved.restore_tokenizer_path(recipe.get("data.init_args"))
    root = str(expanded(config.trainer.default_root_dir or "runs"))
    folder = new_run_folder(root, config.experiment, command, config.get("ckpt_path"))
    resumed = Path(config.ckpt_path) if command == "fit" and config.get("ckpt_path") else None
    point_loggers(config.trainer, folder, resumed)
    config.trainer.enable_progress_bar = TimedBar.wanted(config.trainer.enable_progress_bar)
    return folder, {"recipe": recipe, "checkpoint": config.ckpt_path}
