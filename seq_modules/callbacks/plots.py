"""Pictures in the run's folder and in the logger."""

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.run_folder import run_folder


def new_figure(columns: int = 1, width: float = 6.0, height: float = 3.6, rows: int = 1) -> tuple[Any, Any]:
    """A figure with its axes, row after row in one list; drawn without a screen and without pyplot's global state.

    Args:
        columns: Axes in a row.
        width: Of one of them, in inches.
        height: Of one of them, in inches.
        rows: Rows of axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def save_figure(trainer: Trainer, figure: Any, name: str) -> Path:
    """Saves to ``plots/<name>.png`` and gives the picture to each logger that takes pictures. On rank 0."""
    path = run_folder(trainer) / "plots" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    for logger in trainer.loggers:
        if hasattr(logger, "log_image"):  # W&B
            logger.log_image(key=name, images=[str(path)])
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_figure(name, figure, trainer.global_step)
    return path


def read_metrics(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Curves of a run's ``metrics.csv``: name -> [(step, value)]; empty if there is no such file."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if not path.is_file():
        return curves
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    curves.setdefault(name, []).append((int(row["step"]), float(value)))
    return curves


class Curves(Callback):
    """Draws every metric over the steps, training and validation together, when training ends."""

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads what the CSV logger has written, of which nothing may be left in memory by now."""
        if trainer.logger is None:
            return
        if isinstance(trainer.logger, CSVLogger):
            trainer.logger.finalize("success")
        curves = read_metrics(run_folder(trainer) / "metrics.csv")
        names = sorted({name.partition("/")[2] for name in curves if name.startswith(("train/", "val/"))})
        if not names:
            return
        figure, axes = new_figure(len(names), width=4.5)
        for axis, name in zip(axes, names, strict=True):
            for stage in ("train", "val"):
                if points := curves.get(f"{stage}/{name}"):
                    axis.plot(*zip(*points, strict=True), label=stage, marker="." if len(points) < 3 else None)
            axis.set(xlabel="step", title=name)
            if name == "loss":
                axis.set_yscale("log")
            axis.legend()
        save_figure(trainer, figure, "curves")
