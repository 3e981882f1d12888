"""What a test of forecasts leaves behind, and what predict writes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from matplotlib.figure import Figure

from datamodules import ForecastDataModule
from datamodules.series.generated import GeneratedSeries
from seq_modules import Forecaster
from seq_modules.callbacks import ErrorByHorizon, ForecastPlots
from seq_modules.callbacks.series import error_by_horizon, forecast_plots
from seq_modules.callbacks.series.forecast_csv import write_forecasts
from seqlight.core.errors import UserError


@pytest.fixture
def tested() -> tuple[ForecastDataModule, Forecaster]:
    data = ForecastDataModule(
        generated=GeneratedSeries(num_series=2, num_rows=160, seasons=[12]),
        lookback=24,
        horizon=5,
        season=12,
        batch_size=7,
    )
    data.setup("test")
    torch.manual_seed(0)
    return data, Forecaster(data.statistics, 24, 5, loss="pinball")  # type: ignore[arg-type]


def kept_figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that are saved, by name; nothing is drawn to a file."""
    figures: dict[str, Figure] = {}

    def keep(trainer: Any, figure: Figure, name: str) -> None:
        figures[name] = figure

    for module in (error_by_horizon, forecast_plots):
        monkeypatch.setattr(module, "save_figure", keep)
    return figures


def test_errors_by_horizon_are_those_of_each_step_and_series(
    tested: tuple[ForecastDataModule, Forecaster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data, module), figures = tested, kept_figures(monkeypatch)
    data.test_set.observed[-6:, 1] = False
    result = quiet_trainer(tmp_path, ErrorByHorizon()).test(module, datamodule=data, verbose=False)[0]
    batch = data.test_set.__getitems__(range(len(data.test_set)))
    error = module.forecast_scaled(batch["past_values"])[..., 1] - batch["future_values"]
    with (tmp_path / "error_by_horizon.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    for step, row in enumerate(rows):
        seen = [error[w, step, c].item() for w in range(len(error)) for c in range(2) if batch["observed"][w, step, c]]
        assert float(row["mse"]) == pytest.approx(sum(e * e for e in seen) / len(seen), rel=1e-4)
        assert float(row["mae"]) == pytest.approx(sum(map(abs, seen)) / len(seen), rel=1e-4)
        assert float(row["mse_series_1"]) == pytest.approx(error[:, step, 0].square().mean().item(), rel=1e-4)
    counts = batch["observed"].sum((0, 2)).tolist()
    mean = sum(float(row["mse"]) * count for row, count in zip(rows, counts, strict=True)) / sum(counts)
    assert mean == pytest.approx(result["test/mse"], rel=1e-4)
    lines = {line.get_label(): line.get_ydata() for line in figures["error_by_horizon"].axes[0].lines}
    assert list(lines) == ["series_1", "series_2", "all series"]
    assert list(lines["all series"]) == pytest.approx([float(row["mse"]) for row in rows], rel=1e-4)


def test_forecasts_are_drawn_in_the_unit_of_the_data(
    tested: tuple[ForecastDataModule, Forecaster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data, module), figures = tested, kept_figures(monkeypatch)
    plots = ForecastPlots(origins=2, series=["series_2"], past=8)
    quiet_trainer(tmp_path, plots).test(module, datamodule=data, verbose=False)
    first, second = figures["forecasts"].axes
    assert first.get_title() == "series_2, from 2020-01-06 08:00:00"  # row 128
    truth, forecast = (line.get_ydata() for line in first.lines[:2])
    assert list(truth) == pytest.approx(data.series.values[120:133, 1], abs=1e-5)
    values = torch.from_numpy(data.series.values[104:128]).float()
    assert list(forecast) == pytest.approx(module(values[None])[0, :, 1, 1].tolist(), abs=1e-4)
    assert len(first.collections) == 1  # one interval
    assert second.get_title().startswith("series_2, from 2020-01-07 11")  # the last window


def test_an_unknown_series_is_refused(tested: tuple[ForecastDataModule, Forecaster], tmp_path: Path) -> None:
    data, module = tested
    trainer = quiet_trainer(tmp_path, ForecastPlots(series=["load"]))
    with pytest.raises(UserError, match="series load is none of the model's, which are series_1, series_2"):
        trainer.test(module, datamodule=data, verbose=False)


def test_rows_of_forecasts_are_a_csv(tmp_path: Path) -> None:
    rows = [{"index": k, "date": f"2024-01-0{k + 1}", "series": 'a, "b"', "0.1": 0.5, "0.5": k} for k in range(2)]
    write_forecasts(tmp_path, json.loads(json.dumps(rows)))
    with (tmp_path / "forecast.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["date", "series", "0.1", "0.5"],
            ["2024-01-01", 'a, "b"', "0.5", "0"],
            ["2024-01-02", 'a, "b"', "0.5", "1"],
        ]
    write_forecasts(tmp_path / "other", [{"index": 0, "label": "x"}])  # nothing to write
    assert not (tmp_path / "other").exists()
