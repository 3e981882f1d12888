"""Forecasts of ETTh1 by a statistical model, refitted at each origin, beside the naive one and trained nets.

    pip install statsforecast
    seqlight sweep sweeps/forecast/etth1
    python benchmarks/studies/forecast_baselines.py --path ETTh1.csv --nets runs/sweeps/etth1

The split is that of the literature (12, 4 and 4 months), and errors are of series that are scaled by the training
part. First the seasonal naive forecast (a day before) over all windows of the test. Then, at origins that are spread
evenly over it, by default every tenth hour: the naive forecast, statistical models, which are fitted to the last values
of each series before the origin, and the nets under ``--nets`` (the best checkpoint of each run; several of one horizon
are averaged over). A statistical model fits each series at each origin anew, which is why it sees fewer of them. One
fit serves all horizons.

AutoETS chooses among exponential smoothings with and without trend and season, by the corrected Akaike criterion
(Hyndman et al. 2002); "seasonal" chooses among those with a season alone. statsforecast is no requirement of the
project: no other part of it needs it.
"""

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

import seqlight
from datamodules import ForecastDataModule
from datamodules.series.windows import TimeSplit
from seq_modules import Forecaster

LOOKBACK, SEASON = 336, 24
STATISTICAL: dict[str, tuple[str, dict[str, str]]] = {
    "AutoETS": ("AutoETS", {}),
    "AutoETS, seasonal": ("AutoETS", {"model": "ZZA"}),
    "AutoARIMA": ("AutoARIMA", {}),
}


def windows(path: str, horizon: int) -> ForecastDataModule:
    """The data with one horizon."""
    data = ForecastDataModule(path, lookback=LOOKBACK, horizon=horizon, split=TimeSplit(rows=[8640, 2880, 2880]))
    data.setup("test")
    return data


def naive(values: np.ndarray, origin: int, horizon: int) -> np.ndarray:
    """The day before, again and again, (H, C)."""
    return values[origin - SEASON + np.arange(horizon) % SEASON]


def naive_on_all(values: np.ndarray, origins: range, horizon: int) -> tuple[float, float]:
    """MSE and MAE of the naive forecast over all windows."""
    squared = absolute = 0.0
    for origin in origins:
        error = naive(values, origin, horizon) - values[origin : origin + horizon]
        squared, absolute = squared + np.square(error).mean(), absolute + np.abs(error).mean()
    return squared / len(origins), absolute / len(origins)


def statistical(values: np.ndarray, origin: int, horizon: int, name: str, history: int) -> np.ndarray:
    """Forecasts (H, C) of a model of each series by itself, fitted to the last values before the origin."""
    from statsforecast import models

    kind, options = STATISTICAL[name]
    columns = []
    for series in values[origin - history : origin].T:
        model = getattr(models, kind)(season_length=SEASON, **options)
        columns.append(model.forecast(y=series, h=horizon)["mean"])
    return np.column_stack(columns)


@torch.inference_mode()
def of_nets(folder: Path, values: np.ndarray, origins: list[int]) -> dict[int, list[list[np.ndarray]]]:
    """Forecasts (H, C) of each net under a folder, by horizon: one list over the origins for each net."""
    found: dict[int, list[list[np.ndarray]]] = defaultdict(list)
    for file in sorted(folder.rglob("best.ckpt")):
        net = seqlight.load(file)
        assert isinstance(net, Forecaster)
        past = np.stack([values[origin - LOOKBACK : origin] for origin in origins])
        forecast = net.forecast_scaled(torch.from_numpy(past).float())[..., net.middle].numpy()
        found[forecast.shape[1]].append(list(forecast))
    return found


def mean_error(forecasts: list[np.ndarray], values: np.ndarray, origins: list[int]) -> tuple[float, float]:
    """MSE and MAE over the origins."""
    errors = [f - values[origin : origin + len(f)] for f, origin in zip(forecasts, origins, strict=True)]
    return float(np.mean(np.square(errors))), float(np.mean(np.abs(errors)))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--path", default="ETTh1.csv")
    parser.add_argument("--nets", type=Path, help="a folder of runs")
    parser.add_argument("--horizons", type=int, nargs="+", default=[96, 192, 336, 720])
    parser.add_argument("--origins", type=int, default=217, help="of the statistical models; 0 leaves them out")
    parser.add_argument("--history", type=int, default=LOOKBACK, help="values that they are fitted to")
    parser.add_argument("--models", nargs="+", default=["AutoETS", "AutoETS, seasonal"], choices=STATISTICAL)
    given = parser.parse_args()
    started = time.process_time()
    data = windows(given.path, max(given.horizons))
    values = data.scaled(data.series).double().numpy()
    print("seasonal naive, all windows of the test\n\n| horizon | windows | MSE | MAE |\n|---|---|---|---|")
    for horizon in given.horizons:
        origins = windows(given.path, horizon).test_set.origins
        squared, absolute = naive_on_all(values, origins, horizon)
        print(f"| {horizon} | {len(origins)} | {squared:.3f} | {absolute:.3f} |", flush=True)
    if not given.origins:
        return
    places = data.test_set.origins
    chosen = [places[round(k)] for k in np.linspace(0, len(places) - 1, given.origins)]
    longest = max(given.horizons)
    fitted = {
        name: [statistical(values, origin, longest, name, given.history) for origin in chosen] for name in given.models
    }
    nets = of_nets(given.nets, values, chosen) if given.nets else {}
    print(f"\nat {given.origins} origins, MSE / MAE; the models are fitted to {given.history} values\n")
    print(f"| horizon | seasonal naive | {' | '.join(fitted)} | nets (number) |\n|---|---|{'---|' * len(fitted)}---|")
    for horizon in given.horizons:
        rows = [
            mean_error([naive(values, origin, horizon) for origin in chosen], values, chosen),
            *(mean_error([forecast[:horizon] for forecast in each], values, chosen) for each in fitted.values()),
        ]
        cells = [f"{squared:.3f} / {absolute:.3f}" for squared, absolute in rows]
        errors = [mean_error(forecasts, values, chosen) for forecasts in nets.get(horizon, [])]
        cells.append("{:.3f} / {:.3f} ({})".format(*np.mean(errors, axis=0), len(errors)) if errors else "-")
        print(f"| {horizon} | {' | '.join(cells)} |")
    print(f"\n{time.process_time() - started:.0f} s of CPU time")


if __name__ == "__main__":
    main()
