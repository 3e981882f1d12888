"""Forecasts of time series: a value, or quantiles, for each series and each step of the horizon.

B batch, L look-back, H horizon, C series, Q quantiles (1 where a single value is forecast).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from seq_modules.base import SequenceModule, Step
from seq_modules.nets.forecast.forecast_net import ForecastNet, ForecastNetConfig
from seq_modules.nets.precision import at_least_float32
from seq_modules.training.metrics.forecasts import (
    Coverage,
    MeanAbsoluteError,
    MeanAbsoluteScaledError,
    MeanSquaredError,
    PinballLoss,
    SymmetricPercentageError,
    pinball,
)
from seq_modules.training.optim import OptimConfig, refuse_muon
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range, group_from, required
from seqlight.core.series import SeriesStatistics

Loss = Literal["mse", "mae", "pinball"]


class Forecaster(SequenceModule):
    """Reads the last L values of C series and forecasts the next H.

    Batches hold scaled values, and losses and metrics are in that unit, except sMAPE. Called directly, the module
    takes and gives values in the unit of the data.

    Args:
        statistics: Names, scale and season of the series; they come from the data.
        lookback: L; comes from the data.
        horizon: H; comes from the data.
        loss: "mse" or "mae" of one value for each step, or the "pinball" loss of quantiles.
        quantiles: Levels of the quantiles of "pinball", rising, 0.5 among them, which is the forecast that MSE and MAE
            measure. Levels q and 1 - q make an interval, whose coverage is measured.
        net: The net.
        optim: Optimiser and schedule.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    center: Tensor
    scale: Tensor

    def __init__(
        self,
        statistics: SeriesStatistics = SeriesStatistics(),
        lookback: int | None = None,
        horizon: int | None = None,
        loss: Loss = "mse",
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        net: ForecastNetConfig = ForecastNetConfig(),
        optim: OptimConfig = OptimConfig(learning_rate=1e-3),
    ) -> None:
        known, config = group_from(SeriesStatistics, statistics), group_from(ForecastNetConfig, net)
        required("statistics", known.names or None)
        lookback, horizon = required("lookback", lookback), required("horizon", horizon)
        check_range("lookback", lookback, least=1)
        check_range("horizon", horizon, least=1)
        check_choice("loss", loss, Loss)
        levels = check_levels(quantiles) if loss == "pinball" else None
        super().__init__(forecast_metrics(known, levels), optim)
        self.save_hyperparameters()
        self.levels = levels
        refuse_muon(self.optim)
        self.series_names, self.loss = list(known.names), loss
        self.register_buffer("center", torch.tensor(known.center, dtype=torch.float32), persistent=False)
        self.register_buffer("scale", torch.tensor(known.scale, dtype=torch.float32), persistent=False)
        self.statistics = known
        self.net = ForecastNet(lookback, horizon, len(known.names), known.season, self.levels, config)

    @property
    def middle(self) -> int:
        """Place among the Q of the forecast itself: that of the median."""
        return 0 if self.levels is None else self.levels.index(0.5)

    def forecast_scaled(self, past: Tensor) -> Tensor:
        """Scaled values (B, L, C) to scaled forecasts (B, H, C, Q), of which the Q never fall."""
        forecast = at_least_float32(self.net(past))
        return forecast if self.levels is None else forecast.sort(dim=-1).values  # a crossing would be no distribution

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q), both in the unit of the data."""
        scaled = self.forecast_scaled((past - self.center) / self.scale)
        return scaled * self.scale[:, None] + self.center[:, None]

    def step(self, batch: dict[str, Tensor]) -> Step:
        """The loss, summed over the observed targets."""
        return self.measured(batch, self.forecast_scaled(batch["past_values"]))

    def measured(self, batch: dict[str, Tensor], forecast: Tensor) -> Step:
        """Loss and metric inputs of scaled forecasts (B, H, C, Q)."""
        target, observed = batch["future_values"], batch["observed"]
        value = forecast[..., self.middle]
        if self.levels is not None:
            errors = pinball(forecast, target, self.levels).mean(-1)
        else:
            errors = (value - target).square() if self.loss == "mse" else (value - target).abs()
        loss_sum = torch.where(observed, errors, 0.0).sum()
        inputs = {"forecast": value, "quantiles": forecast, "target": target, "observed": observed}
        return Step(loss_sum, observed.sum(), inputs)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:  # type: ignore[override]
        """Measures a test batch; gives its scaled forecasts (B, H, C, Q) to the callbacks."""
        forecast = self.forecast_scaled(batch["past_values"])
        self.measure(self.test_metrics, self.measured(batch, forecast))
        return {"forecast": forecast}

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row for each window, step and series, in the unit of the data: its date, the series, and its quantiles.

        A forecast of one value has the name "forecast", quantiles have those of their levels.
        """
        scale, center = (
            torch.tensor(held, dtype=torch.float64) for held in (self.statistics.scale, self.statistics.center)
        )
        values = self.forecast_scaled(batch["past_values"]).double().cpu() * scale[:, None] + center[:, None]
        names = ["forecast"] if self.levels is None else [f"{level:g}" for level in self.levels]
        size = values[0, ..., 0].numel()
        rows = []
        for index, dates, window in zip(batch["index"].tolist(), batch["dates"], values.tolist(), strict=True):
            cells = [
                (date, name, cell)
                for date, row in zip(dates, window, strict=True)
                for name, cell in zip(self.series_names, row, strict=True)
            ]
            rows += [
                {"index": index * size + place, "date": date, "series": series}
                | {name: float(f"{value:.9g}") for name, value in zip(names, cell, strict=True)}
                for place, (date, series, cell) in enumerate(cells)
            ]
        return rows


def check_levels(levels: Sequence[float]) -> list[float]:
    """The levels of quantiles as a list.

    Raises:
        UserError: They are no rising numbers between 0 and 1 with 0.5 among them.
    """
    found = list(levels)
    if not all(0 < level < 1 for level in found) or sorted(set(found)) != found or 0.5 not in found:
        raise UserError(f"quantiles must be rising levels between 0 and 1, 0.5 among them, not {found}")
    return found


def forecast_metrics(known: SeriesStatistics, levels: Sequence[float] | None) -> dict[str, Metric]:
    """The metrics of forecasts; with quantiles the pinball loss, and the coverage of each interval in per cent."""
    count = len(known.names)
    metrics: dict[str, Metric] = {
        "mse": MeanSquaredError(count),
        "mae": MeanAbsoluteError(count),
        "mase": MeanAbsoluteScaledError(known.naive_errors),
        "smape": SymmetricPercentageError(known.center, known.scale),
    }
    if levels is None:
        return metrics
    metrics["pinball"] = PinballLoss(count, levels)
    for low, level in enumerate(levels):
        for high in range(low + 1, len(levels)):
            if abs(level + levels[high] - 1) < 1e-9:
                metrics[f"coverage_{100 * (levels[high] - level):g}"] = Coverage(count, low, high)
    return metrics
