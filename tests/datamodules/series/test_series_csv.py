"""CSV files of series: what is found in them, and which faults are named by line and column."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from datamodules.series.series_csv import SeriesTable, read_series
from seqlight.core.errors import UserError

GOOD = "place,day,load,note,heat\nx,2024-01-01,1,a,10\nx,2024-01-02,2.5,b,20\nx,2024-01-03,-3e0,,30\n"


def write(folder: Path, text: str) -> str:
    path = folder / "series.csv"
    path.write_text(text)
    return str(path)


def test_dates_and_columns_of_numbers_are_found(tmp_path: Path) -> None:
    series = read_series(write(tmp_path, GOOD), "path", SeriesTable())
    assert series.names == ["load", "heat"]
    assert series.values.tolist() == [[1, 10], [2.5, 20], [-3, 30]]
    assert series.observed.all()
    assert series.start == datetime(2024, 1, 1)
    assert series.dates(3, 2) == ["2024-01-04 00:00:00", "2024-01-05 00:00:00"]


def test_a_choice_of_columns_in_its_order(tmp_path: Path) -> None:
    series = read_series(write(tmp_path, GOOD), "path", SeriesTable(date="day", columns=["heat", "load"]))
    assert series.names == ["heat", "load"]
    assert series.values[:, 0].tolist() == [10, 20, 30]


def test_another_form_of_dates_and_none_at_all(tmp_path: Path) -> None:
    path = write(tmp_path, "when;\tvalue\n".replace(";\t", ",") + "31/12/2023,1\n01/01/2024,2\n")
    series = read_series(path, "path", SeriesTable(date_format="%d/%m/%Y"))
    assert series.dates(2, 1) == ["2024-01-02 00:00:00"]
    with pytest.raises(UserError, match=r"no column begins with a date .ISO 8601. on line 2; name it by --data.table"):
        read_series(path, "path", SeriesTable())
    bare = write(tmp_path, "a,b\n1,2\n3,4\n")
    assert read_series(bare, "path", SeriesTable(date="none")).dates(2, 2) == ["2", "3"]


def test_missing_values_and_rows_are_filled_from_before_and_marked(tmp_path: Path) -> None:
    text = "day,a,b\n2024-01-01,1,5\n2024-01-02,,6\n2024-01-03,NaN,NA\n2024-01-04,4,8\n2024-01-05,5,9\n2024-01-07,7,\n"
    series = read_series(write(tmp_path, text), "path", SeriesTable(fill="forward"))
    assert series.values.T.tolist() == [[1, 1, 1, 4, 5, 5, 7], [5, 6, 6, 8, 9, 9, 9]]
    assert series.observed.T.astype(int).tolist() == [[1, 0, 0, 1, 1, 0, 1], [1, 1, 0, 1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("text", "config", "message"),
    [
        (GOOD.replace("2.5", ""), {}, "line 3, column 'load': the value is missing; give it, or take the value before"),
        (GOOD.replace(",1,a", ",,a"), {"fill": "forward"}, "line 2, column 'load': .*delete the"),
        (GOOD.replace("2.5", "two"), {}, "line 3, column 'load': 'two' is no finite number"),
        (GOOD.replace("2.5", "inf"), {}, "line 3, column 'load': 'inf' is no finite number"),
        (GOOD.replace("01-02", "02-30"), {}, "line 3, column 'day': '2024-02-30' is no date"),
        (GOOD.replace("2024-01-03", ""), {}, "line 4, column 'day': the value is missing"),
        (GOOD.replace("2024-01-03", "2024-01-05"), {"date": "day"}, "column 'day': line 4: 2 rows are missing"),
        (GOOD, {"date": "hour"}, "line 1 names no column 'hour'"),
        (GOOD, {"columns": ["cold"]}, "line 1 names no column 'cold'"),
        (GOOD, {"columns": ["day"]}, "column 'day' holds the dates and cannot be a series too"),
        (GOOD, {"columns": ["note"]}, "line 2, column 'note': 'a' is no finite number"),
        ("day,note\n2024-01-01,a\n2024-01-02,b\n", {}, "no column of numbers beside the dates"),
        ("day,a\n2024-01-01,1\n", {}, "has one row"),
        ("day,a\n2024-01-01T00:00+01:00,1\n2024-01-02,2\n", {}, "line 3, column 'day': dates with and without a time"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_that_names_its_place(tmp_path: Path, text: str, config: dict, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as raised:
        read_series(path, "path", SeriesTable(**config))
    assert path in str(raised.value)
    assert "\n" not in str(raised.value)


def test_of_the_linear_kind_there_is_no_filling() -> None:
    with pytest.raises(UserError, match=r"table\.fill must be one of 'refuse', 'forward', not 'linear'"):
        SeriesTable(fill="linear")  # type: ignore[arg-type]


def test_a_day_of_daylight_saving_is_regular_in_its_zone(tmp_path: Path) -> None:
    rows = ["2024-03-31T00:00+01:00", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00", "2024-03-31T04:00+02:00"]
    path = write(tmp_path, "time,a\n" + "".join(f"{row},{k}\n" for k, row in enumerate(rows)))
    series = read_series(path, "path", SeriesTable())
    assert str(series.step) == "3600 s"
    np.testing.assert_array_equal(series.values[:, 0], [0, 1, 2, 3])


def test_a_date_far_off_is_no_gap_to_fill(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "date,x\n2020-01-01 00:00:00,1\n2020-01-01 00:00:01,2\n2020-01-01 00:00:02,3\n2920-01-01 00:00:03,4\n"
    )
    with pytest.raises(ValueError, match=r"line 5: [0-9,]+ rows are missing before it; filled, .* mend the date"):
        read_series(str(tmp_path / "t.csv"), "path", SeriesTable(fill="forward"))
