"""How the errors of forecasts grow with the distance."""

import csv
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.callbacks.run.run_folder import run_folder
from seq_modules.protocols.systems import Forecasts
from seqlight.core.plots import new_figure

MOST_LINES = 8  # series that have a line of their own in the picture


class ErrorByHorizon(Callback):
    """Measures, in ``test``, each step of the horizon by itself, over all windows.

    Writes ``error_by_horizon.csv``, a line for each step from 1 on: MSE and MAE over all series, and the MSE of each
    series, all of scaled values; and ``plots/error_by_horizon.png``. Steps without an observed target are left empty.
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # (3, H, C): squared errors, absolute errors, observed targets

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test."""
        self._sums = None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds a batch's errors."""
        if not isinstance(pl_module, Forecasts):
            return
        error = outputs["forecast"][..., pl_module.middle] - batch["future_values"]  # (B, H, C)
        observed = batch["observed"]
        error = torch.where(observed, error, 0.0)
        parts = torch.stack([part.cpu().double().sum(0) for part in (error.square(), error.abs(), observed)])
        self._sums = parts if self._sums is None else self._sums + parts

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Joins the ranks, writes and draws."""
        if self._sums is None or not isinstance(pl_module, Forecasts):
            return
        sums = self._sums.float().to(pl_module.device)
        squared, absolute, count = trainer.strategy.reduce(sums, reduce_op="sum").cpu()
        if trainer.is_global_zero:
            self._write(trainer, pl_module.series_names, squared, absolute, count)

    def _write(self, trainer: Trainer, names: list[str], squared: Tensor, absolute: Tensor, count: Tensor) -> None:
        both = [part.sum(1) / count.sum(1) for part in (squared, absolute)]  # each (H,)
        each = squared / count  # (H, C)
        folder = run_folder(trainer)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "error_by_horizon.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("step", "mse", "mae", *(f"mse_{name}" for name in names)))
            table = torch.cat((torch.stack(both, dim=1), each), dim=1).tolist()
            writer.writerows(
                (step, *("" if value != value else f"{value:.6g}" for value in row))
                for step, row in enumerate(table, start=1)
            )
        figure, (axis,) = new_figure(width=6.4)
        steps = range(1, len(each) + 1)
        for name, line in list(zip(names, each.T.tolist(), strict=True))[:MOST_LINES]:
            axis.plot(steps, line, linewidth=1, alpha=0.7, label=name)
        axis.plot(steps, both[0].tolist(), color="black", linewidth=2, label="all series")
        axis.set(xlabel="step of the horizon", ylabel="MSE (scaled)", ylim=(0, None))
        axis.legend(fontsize=7)
        save_figure(trainer, figure, "error_by_horizon")
