"""A command's settings before anything is made of them: layers, checks, then precision, run folder, loggers."""

from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, Namespace

from seq_modules.callbacks import TimedBar
from seqlight.command.arguments import config_values, option, values_as_configs
from seqlight.command.precision import settle
from seqlight.command.saved_settings import SavedSettings
from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.core.yaml_text import yaml_text
from seqlight.recipes import DEFAULTS, experiment_name
from seqlight.runs import new_run_folder, point_loggers

MOST_NUMPY_SEED = 2**32 - 1  # a run seeds NumPy too, which takes no larger one
COPYING = ("spawn", "fork", "notebook")  # strategies whose processes are copies of this one


def check_settings(config: Namespace) -> None:
    """Refuses what Lightning would fail on later, without a word for the user.

    Args:
        config: The command's settings.

    Raises:
        UserError: The seed is out of its range, or the strategy copies this process.
    """
    seed = config.get("seed_everything")
    if not isinstance(seed, bool):
        check_range("--seed_everything", seed, least=0, most=MOST_NUMPY_SEED)
    strategy = config.trainer.strategy
    if isinstance(strategy, str) and any(f"_{word}" in strategy for word in COPYING):
        raise UserError(
            f"--trainer.strategy {strategy}: copies of a process cannot share its files; use ddp, which starts new ones"
        )


def layered_settings(parser: LightningArgumentParser, words: list[str]) -> tuple[Namespace, SavedSettings | None]:
    """Settings laid over each other: configs/defaults.yaml, those of ``--ckpt_path``, configs, flags.

    Args:
        parser: The command's.
        words: The command line, the command first.

    Returns:
        The settings by command, and those of ``--ckpt_path``, if one is given.
    """
    command, *rest = words
    if command.startswith("--print_completion"):
        parser.parse_args(words)  # prints and exits
    layers, saved = [command, "--config", str(DEFAULTS)], None
    if checkpoint := option(rest, "--ckpt_path"):
        saved = SavedSettings(Path(checkpoint[1]), command, rest)
        # A layer each: a list of callbacks replaces the one before as a whole. A config may be given as its text.
        layers += ["--config", yaml_text(saved.config)] if saved.config else []
    config = parser.parse_args([*layers, *values_as_configs(rest)])
    check_settings(config[command])
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
    root = config.trainer.default_root_dir or "runs"
    folder = new_run_folder(root, config.experiment, command, config.get("ckpt_path"))
    point_loggers(config.trainer, folder)
    config.trainer.enable_progress_bar = TimedBar.wanted(config.trainer.enable_progress_bar)
    return folder, {"recipe": recipe, "checkpoint": config.ckpt_path}
