"""A run's own folder: runs/<experiment>/<time>/, made once and never written over."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from seqlight.checkpoints import CHECKPOINTS


def new_run_folder(root: str, experiment: str, command: str, checkpoint: str | None) -> Path:
    """Makes and names the folder a command writes to.

    Training gets ``root/experiment/<time>``. What is done with a run's checkpoint lies in that run's folder, as
    ``<command>/<time>``; with a checkpoint from elsewhere, in ``root/experiment/<command>/<time>``.
    """
    if command == "fit":
        parent = Path(root, experiment)
    elif checkpoint and Path(checkpoint).resolve().parent.name == CHECKPOINTS:
        parent = Path(checkpoint).parent.parent / command
    else:
        parent = Path(root, experiment, command)
    return make_unique(parent, datetime.now().strftime("%Y-%m-%d_%H-%M-%S"))


def make_unique(parent: Path, name: str) -> Path:
    """A new folder of that name, or of the name with a number if another process was quicker."""
    if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))):
        return parent / name  # rank 0 makes it and tells the others
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def point_loggers(trainer: Any, folder: Path) -> None:
    """Sends the configured loggers of a parsed ``trainer`` namespace to the folder; the first decides where all goes.

    Lightning's loggers write to ``save_dir/name/version`` (CSV, TensorBoard) or to ``save_dir`` (W&B).
    """
    trainer.default_root_dir = str(folder)
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    for logger in loggers:
        if not hasattr(logger, "class_path"):  # True, False or None
            continue
        args = logger.init_args
        if logger.class_path.rpartition(".")[2] == "WandbLogger":
            args.save_dir = str(folder)
            args.name = args.name or f"{folder.parent.name}/{folder.name}"
        else:
            args.save_dir, args.name, args.version = str(folder.parent.parent), folder.parent.name, folder.name
