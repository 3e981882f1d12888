"""Windows of time series to forecast: a CSV file, or series that are generated."""

from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.base import SequenceDataModule
from datamodules.series.generated import GeneratedSeries, make_series
from datamodules.series.series_csv import Series, SeriesTable, read_series
from datamodules.series.windows import NextWindow, SeriesWindows, TimeSplit, origins_of
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from
from seqlight.core.series import SeriesStatistics, step_in_words


class ForecastDataModule(SequenceDataModule):
    """Windows of C series, which are split in time and scaled by the mean and deviation of the training rows alone.

    Validation and test take every window, one for each row at which a forecast can begin. Predict continues the series.

    Args:
        path: CSV file (.csv, or .tsv with tabs) whose first line names the columns. Default: the series of
            ``generated``.
        table: How the file is read.
        generated: Series that are made where there is no path.
        lookback: Rows that a forecast reads, L, at least 1.
        horizon: Rows that it forecasts, H, at least 1.
        split: Training, validation and test.
        season: Steps of a season, by which MASE and the seasonal naive forecast go. Default: by the step of the rows: a
            day of minutes or hours, a week of days, a year of weeks, months or quarters, otherwise 1.
        batch_size: Windows in a batch of one process.
        predict_path: CSV file that predict continues, with the columns and the step that the model was trained with.
            Default: the series of training, validation and test.
        statistics: Names, scale and season of the series. Default: those of the training rows. A checkpoint has them.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training windows' order. Default: the run's seed (--seed_everything).

    Raises:
        UserError: A value is out of its range, or the file has a fault.
    """

    def __init__(
        self,
        path: str | None = None,
        table: SeriesTable = SeriesTable(),
        generated: GeneratedSeries = GeneratedSeries(),
        lookback: int = 96,
        horizon: int = 24,
        split: TimeSplit = TimeSplit(),
        season: int | None = None,
        batch_size: int = 32,
        predict_path: str | None = None,
        statistics: SeriesStatistics = SeriesStatistics(),
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        check_range("lookback", lookback, least=1)
        check_range("horizon", horizon, least=1)
        check_range("season", season, least=1)
        self.path, self.table, self.split = path, group_from(SeriesTable, table), group_from(TimeSplit, split)
        self.generated = group_from(GeneratedSeries, generated)
        self.lookback, self.horizon, self.season, self.predict_path = lookback, horizon, season, predict_path
        self._known = group_from(SeriesStatistics, statistics)
        if self._known.names and self.table.columns not in (None, self._known.names):
            raise UserError(
                f"table.columns {self.table.columns} are not those that the model was trained with, "
                f"{self._known.names}; leave them out"
            )

    @cached_property
    def series(self) -> Series:
        """All rows, read at first use."""
        if self.path is None:
            return make_series(self.generated)
        return read_series(self.path, "path", self.table, self._known.names)

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Fields of SeriesStatistics. They go into the hyperparameters, so that predict needs no data of training."""
        if not self._known.names:
            self._known = statistics_of(self.series, self.split.parts(len(self.series.values))["train"], self.season)
        elif self.season not in (None, self._known.season):
            raise UserError(f"season {self.season} is not that of the statistics, {self._known.season}; leave it out")
        self.hparams["statistics"] = asdict(self._known)
        return asdict(self._known)

    def scaled(self, series: Series) -> Tensor:
        """The values (N, C) of series as the model reads them, in float32 after all else was done in float64."""
        held = self.statistics
        return torch.from_numpy((series.values - np.array(held["center"])) / np.array(held["scale"])).float()

    def setup(self, stage: str) -> None:
        """Makes the windows that the stage needs."""
        super().setup(stage)
        if stage == "predict":
            self.predict_set = self._next_window()
            return
        self._check_step(self.series, "data.path", self.path)
        values, observed = self.scaled(self.series), torch.from_numpy(self.series.observed)
        sizes = self.lookback, self.horizon
        self.train_set, self.val_set, self.test_set = (
            SeriesWindows(values, observed, origins_of(rows, name, *sizes), *sizes)
            for name, rows in self.split.parts(len(values)).items()
        )

    def _next_window(self) -> NextWindow:
        series, argument, path = self.series_to_continue()
        size = len(series.values)
        self._check_step(series, argument, path)
        if size < self.lookback:
            raise UserError(f"{argument} {path}: has {size} rows, but the model reads {self.lookback}")
        return NextWindow(self.scaled(series), series.dates(size, self.horizon), self.lookback)

    def _check_step(self, series: Series, argument: str, path: str | None) -> None:
        """Refuses series with another step than those of the training."""
        if str(series.step) != self.statistics["step"]:
            own, known = step_in_words(str(series.step)), step_in_words(self.statistics["step"])
            raise UserError(f"{argument} {path}: its step is {own}, but the model was trained with {known}")

    def series_to_continue(self) -> tuple[Series, str, str | None]:
        """The series that predict continues, and for messages the argument and the file that they come from."""
        if self.predict_path is None:
            return self.series, "data.path", self.path
        names, argument = self.statistics["names"], "data.predict_path"
        return read_series(self.predict_path, argument, self.table, names), argument, self.predict_path

    def test_windows(self, count: int) -> tuple[dict[str, Tensor], list[str]]:
        """A batch of windows that are spread evenly over the test, and the dates of their origins.

        Args:
            count: How many at most, at least 1.
        """
        size = len(self.test_set)
        rows = sorted({round(place) for place in torch.linspace(0, size - 1, min(count, size)).tolist()})
        first = self.test_set.origins.start
        return self.test_set.__getitems__(rows), [self.series.dates(first + row, 1)[0] for row in rows]


def statistics_of(series: Series, rows: range, season: int | None) -> SeriesStatistics:
    """Scale and naive errors of some rows, those of training.

    Args:
        series: The series.
        rows: Rows that count; filled values do not.
        season: Steps of a season; by default what is usual for the step.

    Raises:
        UserError: A series has no value in these rows, or a season does not fit into them twice.
    """
    season = series.step.season if season is None else season
    if len(rows) <= season:
        raise UserError(f"season {season} is as long as the {len(rows)} rows of training; give a shorter one")
    held = slice(rows.start, rows.stop)
    values = np.where(series.observed[held], series.values[held], np.nan)
    for name, column in zip(series.names, values.T, strict=True):
        if np.isnan(column).all():
            raise UserError(f"table.columns: {name} has no value in the rows of training")
    center, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    scale = np.where(scale > 1e-12 * np.abs(center), scale, 1.0)  # a constant series stays at 0
    errors = np.abs(values[season:] - values[:-season]) / scale
    known = ~np.isnan(errors)
    naive = np.where(known, errors, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    lists = center.tolist(), scale.tolist(), naive.tolist()
    return SeriesStatistics(series.names, *lists, season=season, step=str(series.step))
