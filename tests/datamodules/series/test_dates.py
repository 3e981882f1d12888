"""Steps of dates are found, checked and continued as the calendar has them."""

from datetime import datetime, timedelta

import pytest

from datamodules.series.dates import Step, check_steps, find_step
from seqlight.core.errors import UserError

HOURS = [datetime(2024, 2, 28, 22) + timedelta(hours=k) for k in range(6)]


@pytest.mark.parametrize(
    ("dates", "step", "after"),
    [
        (HOURS, "3600 s", datetime(2024, 2, 29, 4)),
        ([datetime(2023, 12, 30 + k) for k in (0, 1)], "86400 s", datetime(2024, 1, 1)),
        ([datetime(2023, m, 1) for m in (10, 11, 12)], "1 month", datetime(2024, 1, 1)),
        ([datetime(2023, 12, 31), datetime(2024, 1, 31)], "1 month", datetime(2024, 2, 29)),  # ends of months
        ([datetime(2022, 11, 15), datetime(2023, 2, 15)], "3 months", datetime(2023, 5, 15)),
        ([datetime(2021, 7, 1), datetime(2022, 7, 1)], "12 months", datetime(2023, 7, 1)),
        ([HOURS[0], HOURS[0] + timedelta(milliseconds=20)], "0.02 s", HOURS[0] + timedelta(milliseconds=40)),
    ],
)
def test_the_step_is_found_and_continued(dates: list[datetime], step: str, after: datetime) -> None:
    found = find_step(dates)
    assert str(found) == step
    assert found.after(dates[0], len(dates)) == after
    assert found.between(dates[0], after) == len(dates)
    assert check_steps(dates, list(range(2, len(dates) + 2)), found, "path x.csv", fill=False) == list(
        range(len(dates))
    )


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (Step(seconds=3600), 24), (Step(seconds=900), 96), (Step(seconds=86_400), 7), (Step(seconds=604_800), 52),
        (Step(months=1), 12), (Step(months=3), 4), (Step(months=12), 1), (Step(months=5), 1), (Step(seconds=7), 1),
        (Step(), 1),
    ],
)  # fmt: skip
def test_the_usual_season_of_a_step(step: Step, season: int) -> None:
    assert step.season == season


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({3: HOURS[2]}, r"line 5: 2024-02-29 00:00:00 is not after 2024-02-29 00:00:00 of the row before"),
        ({3: HOURS[1]}, r"line 5: 2024-02-28 23:00:00 is not after 2024-02-29 00:00:00"),
        ({3: HOURS[3] + timedelta(minutes=5)}, r"line 5: 2024-02-29 01:05:00 is no whole number of steps"),
        (
            {5: HOURS[5] + timedelta(hours=2)},
            r"line 7: 2 rows are missing between 2024-02-29 02:00:00 and 2024-02-29 05",
        ),
    ],
)
def test_a_fault_is_named_by_its_line(change: dict[int, datetime], message: str) -> None:
    dates = [change.get(k, date) for k, date in enumerate(HOURS)]
    with pytest.raises(UserError, match=message):
        check_steps(dates, range(2, 8), find_step(dates), "path x.csv", fill=False)


def test_missing_rows_leave_their_places() -> None:
    dates = [date for k, date in enumerate(HOURS) if k not in (2, 3)]
    assert check_steps(dates, range(2, 6), Step(seconds=3600), "path x.csv", fill=True) == [0, 1, 4, 5]


def test_a_month_that_is_missing_is_seen() -> None:
    dates = [datetime(2024, month, 1) for month in (1, 2, 3, 5)]
    with pytest.raises(UserError, match="line 5: 1 rows are missing"):
        check_steps(dates, range(2, 6), find_step(dates), "path x.csv", fill=False)
