"""Windows of series: split in time, scaled by the training rows alone, with no look at the future."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import ForecastDataModule
from datamodules.series.generated import GeneratedSeries, make_series
from datamodules.series.series_csv import SeriesTable
from datamodules.series.windows import TimeSplit
from seqlight.core.errors import UserError
from seqlight.core.series import SeriesStatistics

KNOWN = {"names": ["a"], "center": [0.0], "scale": [1.0], "naive_errors": [1.0], "season": 12}
SMALL = GeneratedSeries(num_series=2, num_rows=200, seasons=[12])


def made(**settings: Any) -> ForecastDataModule:
    data = ForecastDataModule(**{"generated": SMALL, "lookback": 10, "horizon": 4, "season": 12, **settings})
    data.setup("fit")
    return data


def rows_of(data: ForecastDataModule, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The row of the series that each number of each window comes from: (W, L) and (W, H)."""
    numbered = getattr(data, f"{part}_set")
    numbered.values = torch.arange(200.0)[:, None].expand(-1, 2)
    batch = numbered.__getitems__(range(len(numbered)))
    return batch["past_values"][..., 0].numpy(), batch["future_values"][..., 0].numpy()


def test_parts_share_no_target_and_no_window_reads_its_future() -> None:
    data = made(split=TimeSplit(val_fraction=0.2, test_fraction=0.3))
    targets = {}
    for part, first, last in (("train", 10, 99), ("val", 100, 139), ("test", 140, 199)):
        past, future = rows_of(data, part)
        # Every window once, in order, and its rows without a gap: the look-back ends where the targets begin.
        np.testing.assert_array_equal(future[:, 0], np.arange(first, last - 4 + 2))
        np.testing.assert_array_equal(np.hstack((past, future)), future[:, :1] + np.arange(-10, 4))
        targets[part] = set(future.ravel())
        assert targets[part] == set(range(first, last + 1))
    assert not targets["train"] & targets["val"]
    assert not targets["val"] & targets["test"]


def test_windows_of_etth1_are_those_of_the_literature() -> None:
    config = GeneratedSeries(num_series=1, num_rows=17_420, level_shifts=0)
    data = made(generated=config, lookback=336, horizon=96, split=TimeSplit(rows=[8640, 2880, 2880]), season=24)
    assert [len(part) for part in (data.train_set, data.val_set, data.test_set)] == [8209, 2785, 2785]
    assert data.test_set.origins.stop - 1 + 96 == 14_400  # the last 3,020 rows are not used


def test_batches_hold_each_test_window_once() -> None:
    data = made(batch_size=16)
    index = torch.cat([batch["index"] for batch in data.test_dataloader()])
    assert index.tolist() == list(range(len(data.test_set))) == list(range(37))  # the last batch has five


def test_the_scale_is_that_of_the_training_rows_alone() -> None:
    series = make_series(SMALL)
    data = made()
    train = series.values[:140]
    held = data.statistics
    np.testing.assert_allclose(held["center"], train.mean(0), rtol=1e-12)
    np.testing.assert_allclose(held["scale"], train.std(0), rtol=1e-12)
    errors = [np.mean([abs(train[t, c] - train[t - 12, c]) for t in range(12, 140)]) for c in range(2)]
    np.testing.assert_allclose(held["naive_errors"], errors / train.std(0), rtol=1e-12)
    batch = data.test_set.__getitems__([3])
    expected = (series.values[160 + 3 - 10 : 160 + 3 + 4] - train.mean(0)) / train.std(0)
    got = torch.cat((batch["past_values"][0], batch["future_values"][0]))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)
    # Another future does not change it.
    data.series.values[140:] += 1e3
    assert made_from(data.series).statistics == held


def made_from(series: Any) -> ForecastDataModule:
    data = ForecastDataModule(generated=SMALL, lookback=10, horizon=4, season=12)
    data.series = series
    return data


def test_predict_continues_another_file_by_the_statistics_of_training(tmp_path: Path) -> None:
    data = made()
    days = [f"2024-01-01 {hour:02d}:00,{hour},{100 + hour}\n" for hour in range(12)]
    path = tmp_path / "new.csv"
    path.write_text("time,series_2,series_1\n" + "".join(days))  # in another order
    later = ForecastDataModule(lookback=10, horizon=4, predict_path=str(path), statistics=data.statistics)  # type: ignore[arg-type]
    later.setup("predict")
    (batch,) = later.predict_dataloader()
    expected = np.stack((np.arange(102, 112), np.arange(2, 12)), axis=1)
    held = data.statistics
    got = batch["past_values"][0].numpy() * held["scale"] + held["center"]
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert batch["dates"] == [[f"2024-01-01 {hour:02d}:00:00" for hour in range(12, 16)]]
    path.write_text("day,series_1,series_2\n2024-01-01,1,1\n2024-01-02,2,2\n")
    with pytest.raises(
        UserError, match=r"predict_path .*new.csv: its step is 1 day, but the model was trained with 1 h"
    ):
        later.setup("predict")
    path.write_text("time,series_1,series_2\n2024-01-01 00:00,1,1\n2024-01-01 01:00,2,2\n")
    with pytest.raises(UserError, match=r"predict_path .*new.csv: has 2 rows, but the model reads 10"):
        later.setup("predict")


def test_filled_values_are_inputs_and_no_targets(tmp_path: Path) -> None:
    path = tmp_path / "holes.csv"
    cells = ["" if day in (7, 17) else f"{day}" for day in range(30)]
    path.write_text("day,a\n" + "".join(f"2024-01-{day + 1:02d},{cell}\n" for day, cell in enumerate(cells)))
    data = ForecastDataModule(
        path=str(path), table=SeriesTable(fill="forward"), lookback=3, horizon=2, season=1, split=TimeSplit(0.2, 0.2)
    )
    data.setup("fit")
    held = data.statistics
    assert held["center"] == pytest.approx([np.mean([day for day in range(18) if day not in (7, 17)])])
    batch = data.train_set.__getitems__(range(len(data.train_set)))
    past = batch["past_values"] * held["scale"][0] + held["center"][0]
    window = 5  # reads 5, 6, 7
    torch.testing.assert_close(past[window, :, 0], torch.tensor([5.0, 6.0, 6.0]))
    assert batch["observed"][:, :, 0].sum() == 2 * len(data.train_set) - 3  # row 7 is twice a target, row 17 once


def test_the_windows_of_a_part_can_be_looked_at() -> None:
    data = made()
    batch, dates = data.test_windows(3)
    assert batch["index"].tolist() == [0, 18, 36]
    assert dates == ["2020-01-07 16:00:00", "2020-01-08 10:00:00", "2020-01-09 04:00:00"]  # rows 160, 178 and 196
    assert data.test_windows(1000)[0]["index"].tolist() == list(range(37))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lookback": 0}, "lookback must be at least 1, not 0"),
        ({"horizon": 30}, "data.lookback 10 and data.horizon 30 leave no window in the 20 rows of val; make"),
        ({"lookback": 139}, "data.lookback 139 and data.horizon 4 leave no window in the 140 rows of train"),
        ({"season": 140}, "season 140 is as long as the 140 rows of training"),
        ({"split": {"rows": [100, 50, 60]}}, r"split.rows \[100, 50, 60\] are 210 rows, but the series have 200"),
        ({"split": {"rows": [100, 50]}}, "split.rows must be three numbers of at least 1"),
        ({"statistics": KNOWN, "table": {"columns": ["b"]}}, r"table.columns \['b'\] are not those .* \['a'\]; leave"),
        ({"statistics": KNOWN, "season": 7}, "season 7 is not that of the statistics, 12; leave it out"),
        ({"split": {"val_fraction": 0.5, "test_fraction": 0.5}}, "leave no training"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(**settings)


@pytest.mark.parametrize("seasons", [[6], [4, 6]])
def test_without_noise_trend_and_shifts_the_made_series_repeat(seasons: list[int]) -> None:
    config = GeneratedSeries(num_rows=60, seasons=seasons, trend=0, level_shifts=0, noise=0)
    values = make_series(config).values
    np.testing.assert_allclose(values[12:], values[:-12], rtol=0, atol=1e-12)
    assert np.abs(values[5:] - values[:-5]).max() > 0.1
    np.testing.assert_array_equal(values, make_series(config).values)


def test_trend_shifts_and_noise_of_the_made_series() -> None:
    plain = {"num_rows": 4000, "seasons": [], "trend": 0.0, "level_shifts": 0, "noise": 0.0}
    trend = make_series(GeneratedSeries(**{**plain, "trend": 2.0})).values
    np.testing.assert_allclose(np.abs(np.diff(trend, axis=0)), 2 / 4000, rtol=1e-6)
    shifts = make_series(GeneratedSeries(**{**plain, "level_shifts": 5})).values
    assert [len(np.flatnonzero(np.diff(column))) for column in shifts.T] == [5, 5, 5]
    noise = make_series(GeneratedSeries(**{**plain, "noise": 0.5})).values
    assert noise.std() == pytest.approx(0.5, rel=0.03)
    assert not np.array_equal(noise, make_series(GeneratedSeries(**{**plain, "noise": 0.5, "seed": 1})).values)


def test_a_test_on_series_of_another_step_is_refused(tmp_path: Path) -> None:
    def write(name: str, step: timedelta) -> str:
        rows = [f"{datetime(2024, 1, 1) + n * step},{n % 7}" for n in range(200)]
        (tmp_path / name).write_text("date,x\n" + "\n".join(rows) + "\n")
        return str(tmp_path / name)

    hourly = ForecastDataModule(write("hour.csv", timedelta(hours=1)), lookback=8, horizon=2)
    hourly.setup("test")
    daily = ForecastDataModule(
        write("day.csv", timedelta(days=1)), lookback=8, horizon=2, statistics=SeriesStatistics(**hourly.statistics)
    )
    with pytest.raises(ValueError, match=r"data.path .*day.csv: its step is .* but the model was trained with"):
        daily.setup("test")
