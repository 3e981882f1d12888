"""Pictures in the run's folder and in the logger, and the curves of every metric."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.plots import new_panels, read_metrics, use_log_scale


def save_figure(trainer: Trainer, figure: Any, name: str) -> Path:
    """Saves to ``plots/<name>.png`` and gives the picture to each logger that takes pictures. On rank 0."""
    path = run_folder(trainer) / "plots" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(key=name, images=[str(path)])
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(name, figure, trainer.global_step)
    return path


class Curves(Callback):
    """Draws every metric over the steps, training and validation together, when training ends."""

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the curves from the CSV logger's file."""
        if trainer.logger is None:
            return
        if isinstance(trainer.logger, CSVLogger):
            trainer.logger.save()  # the last rows
        curves = read_metrics(run_folder(trainer) / "metrics.csv")
        names = sorted({name.partition("/")[2] for name in curves if name.startswith(("train/", "val/"))})
        if not names:
            return
        figure, axes = new_panels(len(names), columns=3, width=4.5)
        for axis, name in zip(axes, names, strict=True):
            for stage, colour in (("train", "C0"), ("val", "C1")):
                if points := curves.get(f"{stage}/{name}"):
                    marker = "." if len(points) < 3 else None
                    axis.plot(*zip(*points, strict=True), label=stage, color=colour, marker=marker)
            axis.set(xlabel="step", title=name)
            axis.xaxis.get_major_locator().set_params(integer=True)
            if name == "loss":
                use_log_scale(axis)
            axis.legend()
        save_figure(trainer, figure, "curves")
