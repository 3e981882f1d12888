"""The curves of every metric."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seqlight.core.plots import new_panels, read_metrics, use_log_scale


class Curves(Callback):
    """Draws every metric over the steps, training and validation together, when training ends."""

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the curves from the CSV logger's file."""
        if trainer.logger is None:
            return
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
