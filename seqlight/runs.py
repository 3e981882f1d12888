"""A run's own folder, runs/<experiment>/<time>/, made once and never written over; and what to run next."""

import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.cli import Namespace

from seqlight.checkpoints import CHECKPOINTS
from seqlight.core.errors import UserError
from seqlight.core.files.replacing import remove_parts
from seqlight.core.files.write_errors import writing
from seqlight.core.hyperparameters import class_options
from seqlight.requeue import job_suffix
from seqlight.run_files.wandb_run import run_id

CSV_LOGGER = "lightning.pytorch.loggers.CSVLogger"
METRICS_CSV = "seqlight.run_files.metrics_csv.MetricsCSV"
WANDB_RUN = "seqlight.run_files.wandb_run.WandbRun"


def new_run_folder(root: str, experiment: str, command: str, checkpoint: str | None) -> Path:
    """Makes and names the folder a command writes to.

    Training gets ``root/experiment/<time>``, in a job of SLURM with the job's number. What is done with a run's
    checkpoint lies in that run's folder, as ``<command>/<time>``; with a checkpoint from elsewhere, in
    ``root/experiment/<command>/<time>``. What processes left half written, of the experiment's runs and beside the
    checkpoint, is removed.
    """
    if Path(experiment).is_absolute() or ".." in Path(experiment).parts:
        raise UserError(f"--experiment {experiment}: give a name or a path below {root}/")
    if Path(root).exists() and not Path(root).is_dir():
        raise UserError(f"--trainer.default_root_dir {root}: is a file, not a folder")
    if command == "fit":
        parent = Path(root, experiment)
    elif checkpoint and _is_in_a_run(Path(checkpoint).resolve(), Path(root).resolve()):
        parent = Path(checkpoint).parent.parent / command
    else:
        parent = Path(root, experiment, command)
    remove_parts(Path(root, experiment), below=True)
    if checkpoint:
        remove_parts(Path(checkpoint).parent)
        remove_parts(Path(checkpoint).parent.parent)
    return make_unique(parent, datetime.now().strftime("%Y-%m-%d_%H-%M-%S") + job_suffix())


def _is_in_a_run(checkpoint: Path, root: Path) -> bool:
    return checkpoint.parent.name == CHECKPOINTS and checkpoint.is_relative_to(root)


def make_unique(parent: Path, name: str) -> Path:
    """A new folder of that name, or of the name with a number if another process was quicker."""
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        return parent / name  # rank 0 makes it and tells the others
    number = 1
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            folder = parent / (name if number == 1 else f"{name}_{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder


def point_loggers(trainer: Any, folder: Path, resumed: Path | None = None) -> None:
    """Points the loggers of a parsed ``trainer`` namespace at the folder; the first of them decides where all files go.

    Lightning's loggers write to ``save_dir/name/version`` (CSV, TensorBoard) or to ``save_dir`` (W&B). A CSV logger
    comes first, also where the config names another logger alone: the pictures are drawn from its file.

    Args:
        trainer: The namespace, which is changed.
        folder: The run's.
        resumed: The checkpoint that training resumes from. Unless it is the best, from which a training may part in
            several directions, W&B goes on with the run that it belongs to.
    """
    trainer.default_root_dir = str(folder)
    if trainer.logger is False:
        return
    asked = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    loggers = [logger for logger in asked if hasattr(logger, "class_path")]  # not True or None
    if not any(logger.class_path == CSV_LOGGER for logger in loggers):
        loggers.insert(0, Namespace(class_path=CSV_LOGGER, init_args=Namespace(save_dir="runs")))
    trainer.logger = sorted(loggers, key=lambda logger: logger.class_path != CSV_LOGGER)
    for logger in trainer.logger:
        args = logger.get("init_args", Namespace())  # a class without arguments has none
        place = {"save_dir": str(folder.parent.parent), "name": folder.parent.name, "version": folder.name}
        if logger.class_path == CSV_LOGGER:
            logger.class_path = METRICS_CSV
            args.update(Namespace(**place, flush_logs_every_n_steps=1))  # a process that is killed loses no row
        if logger.class_path.rpartition(".")[2] == "WandbLogger":
            logger.class_path = WANDB_RUN
            args.save_dir = str(folder.absolute())  # W&B's files are written by a process of its own
            args.id = args.get("id") or args.get("version")
            if resumed and resumed.stem != "best" and not args.id:
                args.id = run_id(run_of(resumed))
            else:  # the run that goes on keeps its name
                args.name = args.get("name") or f"{folder.parent.name}/{folder.name}"
        else:
            args.update(Namespace({name: value for name, value in place.items() if name in args}))


def run_of(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint lies in."""
    folder = checkpoint.parent
    return folder.parent if folder.name == CHECKPOINTS else folder  # SLURM's hpc_ckpt_1.ckpt lies beside it


def own_classes(content: Mapping[str, Any]) -> str:
    """The options that name the user's own classes of a checkpoint's contents."""
    entries = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
    named = {option: (content.get(entry) or {}).get("_class_path") for option, entry in entries.items()}
    return class_options({option: path for option, path in named.items() if isinstance(path, str)})


def next_command(command: str, run_folder: Path, checkpoint: str | None, classes: str = "") -> str:
    """What a user is most likely to run after a command that ended well.

    Args:
        command: The command that ended.
        run_folder: Its folder.
        checkpoint: The checkpoint that it used, if any.
        classes: The options that name the user's own classes.
    """
    run, used = shlex.quote(str(run_folder)) + classes, shlex.quote(str(checkpoint)) + classes
    if command == "fit" and checkpoint and not (run_folder / CHECKPOINTS).exists():
        again = f"seqlight fit --ckpt_path {used} --trainer.max_epochs MORE"
        return f"{again}  (or a longer max_time; it was trained to its end)"
    if command == "fit" and not (run_folder / CHECKPOINTS / "best.ckpt").exists():
        return "a run with validation, whose best.ckpt can be tested"
    return {
        "fit": f"seqlight test --ckpt_path {run}",
        "validate": f"seqlight test --ckpt_path {used}",
        "test": f"seqlight predict --ckpt_path {used}",
        "predict": "seqlight configs",
    }[command]
