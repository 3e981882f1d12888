"""What a command completes in its settings before anything is made of them: precision, run folder, loggers."""

from pathlib import Path
from typing import Any

from lightning.pytorch.cli import Namespace

from seq_modules.callbacks import TimedBar
from seqlight.command.arguments import config_values
from seqlight.command.precision import settle
from seqlight.command.saved_settings import SavedSettings
from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.recipes import experiment_name
from seqlight.runs import new_run_folder, point_loggers

MOST_SEED = 2**32 - 1  # NumPy's generators take no larger one
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
        check_range("--seed_everything", seed, least=0, most=MOST_SEED)
    strategy = config.trainer.strategy
    if isinstance(strategy, str) and any(f"_{word}" in strategy for word in COPYING):
        raise UserError(
            f"--trainer.strategy {strategy}: copies of a process cannot share its files; use ddp, which starts new ones"
        )


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
