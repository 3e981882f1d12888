"""Forecasts beside what came, at several places of the test."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from seq_modules.callbacks.loggers.media import save_figure
from seq_modules.generation.decode import evaluating
from seq_modules.protocols.data import HasTestWindows
from seq_modules.protocols.systems import Forecasts
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.core.plots import new_figure


class ForecastPlots(Callback):
    """Draws, after ``test``, forecasts at several origins with what was known and what came: ``plots/forecasts.png``.

    A row of panels for each series, a panel for each origin; the origins are spread evenly over the test. Intervals
    between two quantiles are shaded.

    Args:
        origins: Places at which a forecast begins, at least 1.
        series: Names of the series to draw. Default: the first three.
        past: Steps of the look-back that are drawn, at least 1. Default: twice the horizon, if there are so many.

    Raises:
        UserError: A value is out of its range.
    """

    whole_weights = True  # not with weights that are divided among processes (seq_modules/training/sharding.py)

    def __init__(self, origins: int = 3, series: list[str] | None = None, past: int | None = None) -> None:
        check_range("origins", origins, least=1)
        check_range("past", past, least=1)
        self.origins, self.series, self.past = origins, series, past

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuses series that the model does not have."""
        if isinstance(pl_module, Forecasts):
            for name in self.series or []:
                if name not in pl_module.series_names:
                    known = ", ".join(pl_module.series_names)
                    raise UserError(f"ForecastPlots: series {name} is none of the model's, which are {known}")

    @rank_zero_only
    @torch.inference_mode()
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(pl_module, Forecasts) or not isinstance(data, HasTestWindows):
            return
        batch, dates = data.test_windows(self.origins)
        scale, center = pl_module.statistics.scale, pl_module.statistics.center
        with evaluating(pl_module):
            forecast = pl_module.forecast_scaled(batch["past_values"].to(pl_module.device)).cpu()
        drawn = {name: pl_module.series_names.index(name) for name in self.series or pl_module.series_names[:3]}
        horizon = forecast.shape[1]
        kept = min(batch["past_values"].shape[1], self.past or 2 * horizon)
        figure, axes = new_figure(len(dates), width=4.2, height=2.5, rows=len(drawn))
        places = [(name, c, row) for name, c in drawn.items() for row in range(len(dates))]
        for axis, (name, c, row) in zip(axes, places, strict=True):
            past, future = (batch[key][row, :, c] * scale[c] + center[c] for key in ("past_values", "future_values"))
            draw(axis, past[-kept:].tolist(), future.tolist(), (forecast[row, :, c] * scale[c] + center[c]).T.tolist())
            axis.set_title(f"{name}, from {dates[row]}", fontsize=8)
        axes[0].legend(fontsize=7)
        save_figure(trainer, figure, "forecasts")


def draw(axis: Any, past: Sequence[float], future: Sequence[float], quantiles: Sequence[Sequence[float]]) -> None:
    """Draws one forecast; step 0 is the first that is forecast.

    Args:
        axis: Where.
        past: What was known.
        future: What came; nothing where that is not known.
        quantiles: Q lists of as many values as there are steps; of several the middle one is the forecast, and each
            pair around it the ends of an interval.
    """
    steps, middle = range(len(quantiles[0])), len(quantiles) // 2
    axis.plot(range(-len(past), len(future)), [*past, *future], color="0.35", linewidth=1, label="truth")
    for low in range(middle):
        axis.fill_between(steps, quantiles[low], quantiles[-1 - low], color="C0", alpha=0.2, linewidth=0)
    axis.plot(steps, quantiles[middle], color="C0", linewidth=1.2, label="forecast")
    axis.axvline(-0.5, color="0.7", linewidth=0.8)
    axis.tick_params(labelsize=7)
