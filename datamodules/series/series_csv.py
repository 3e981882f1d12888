"""Reads series from a CSV file: a column of dates at regular steps, and columns of numbers.

N rows, C series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from datamodules.series.dates import Step, check_steps, find_step, read_date
from datamodules.tabular.csv_table import Table, is_number, read_csv
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice

MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "?")  # in any case
MAX_ROWS = 20_000_000  # with those that are filled
Fill = Literal["refuse", "forward"]


@dataclass(frozen=True)
class SeriesTable:
    """How a CSV file of series is read.

    Attributes:
        date: Column of the dates. Default: the first column whose first cell is a date. "none": the file has no dates,
            and its rows are equally far apart.
        date_format: How a date is written, in the form of ``strptime``, such as "%d/%m/%Y". Default: ISO 8601.
        columns: Columns that are series, in this order. Default: all others that begin with a number.
        fill: Missing values and missing rows: "refuse" them, or take the value "forward" that stands before. Values
            that are filled in are inputs alone: no loss and no metric counts them as targets. Interpolation is not
            offered, since it would tell the inputs of a forecast something of the future.

    Raises:
        UserError: A value is out of its range.
    """

    date: str | None = None
    date_format: str | None = None
    columns: list[str] | None = None
    fill: Fill = "refuse"

    def __post_init__(self) -> None:
        check_choice("table.fill", self.fill, Fill)
        if self.columns is not None and not self.columns:
            raise UserError("table.columns is empty; name at least one column")


@dataclass(frozen=True)
class Series:
    """C series at N regular steps.

    Attributes:
        names: Of the series.
        values: (N, C) in float64, none of them missing.
        observed: (N, C), false where a value was filled in.
        step: Time between two rows.
        start: Date of the first row; None where there are no dates.
    """

    names: list[str]
    values: np.ndarray
    observed: np.ndarray
    step: Step = Step()
    start: datetime | None = None

    def dates(self, first: int, count: int) -> list[str]:
        """The dates of some rows, which may lie beyond the last; row numbers from 0 on where there are no dates."""
        if self.start is None:
            return [str(row) for row in range(first, first + count)]
        return [str(self.step.after(self.start, row)) for row in range(first, first + count)]


def read_series(path: str, argument: str, config: SeriesTable, names: Sequence[str] | None = None) -> Series:
    """The series in a CSV file.

    Args:
        path: The file.
        argument: Argument that named it, for messages.
        config: How it is read.
        names: Its columns that are series; by default those of ``config``.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The message names the file, and the line and the column where there is one.
    """
    table = read_csv(path, argument)
    date = date_column(table, config)
    columns = list(names or config.columns or number_columns(table, date))
    if date in columns:
        raise UserError(f"{table.where}: column {date!r} holds the dates and cannot be a series too")
    values = np.column_stack([numbers(table, name) for name in columns])
    if date is None:
        places, step, start = list(range(len(values))), Step(), None
    else:
        dates = read_dates(table, date, config.date_format)
        where = f"{table.where}, column {date!r}"
        step, start = find_step(dates), dates[0]
        places = check_steps(dates, table.lines, step, where, fill=config.fill != "refuse")
    check_missing(table, columns, values, config.fill)
    if places[-1] >= MAX_ROWS:
        gap = int(np.argmax(np.diff(places)))
        raise UserError(
            f"{table.where}: line {table.lines[gap + 1]}: {places[gap + 1] - places[gap] - 1:,} rows are missing "
            f"before it; filled, the table would have {places[-1] + 1:,} rows, more than {MAX_ROWS:,}; mend the date"
        )
    spread = np.full((places[-1] + 1, len(columns)), np.nan)
    spread[places] = values
    return Series(columns, forward_filled(spread), ~np.isnan(spread), step, start)


def date_column(table: Table, config: SeriesTable) -> str | None:
    """Name of the column of dates; None where there is none.

    Raises:
        UserError: It is not named and not found.
    """
    if config.date == "none":
        return None
    if config.date is not None:
        table.place(config.date)
        return config.date
    for name, cell in zip(table.header, table.rows[0], strict=True):
        if not is_number(cell) and read_date(cell, config.date_format) is not None:
            return name
    form = config.date_format or "ISO 8601"
    raise UserError(
        f"{table.where}: no column begins with a date ({form}) on line {table.lines[0]}; name it by --data.table.date "
        "and its form by --data.table.date_format, or say that there is none by --data.table.date none"
    )


def read_dates(table: Table, column: str, form: str | None) -> list[datetime]:
    """The dates of all rows, two at least.

    Raises:
        UserError: A cell is no date, or there is one row alone.
    """
    dates: list[datetime] = []
    for line, cell in zip(table.lines, table.column(column), strict=True):
        date = read_date(cell, form)
        if date is None:
            raise UserError(
                f"{table.where}: line {line}, column {column!r}: {cell!r} is no date ({form or 'ISO 8601'}); give its "
                "form by --data.table.date_format, such as %d/%m/%Y"
            )
        if dates and (date.tzinfo is None) != (dates[0].tzinfo is None):
            raise UserError(f"{table.where}: line {line}, column {column!r}: dates with and without a time zone")
        dates.append(date)
    if len(dates) < 2:
        raise UserError(f"{table.where}: has one row; a series needs two or more")
    return dates


def number_columns(table: Table, date: str | None) -> list[str]:
    """The columns, beside the dates, whose first value that is not missing is a number.

    Raises:
        UserError: There is none.
    """
    found = []
    for place, name in enumerate(table.header):
        first = next((row[place] for row in table.rows if row[place].lower() not in MISSING), "")
        if name != date and is_number(first):
            found.append(name)
    if not found:
        raise UserError(f"{table.where}: no column of numbers beside the dates")
    return found


def numbers(table: Table, column: str) -> np.ndarray:
    """A column as numbers (N,), NaN where the value is missing.

    Raises:
        UserError: A cell is neither missing nor a finite number.
    """
    place = table.place(column)
    values = np.empty(len(table.rows))
    for at, (line, row) in enumerate(zip(table.lines, table.rows, strict=True)):
        cell = row[place]
        missing = cell.lower() in MISSING
        values[at] = np.nan if missing else float(cell) if is_number(cell) else np.inf
        if np.isinf(values[at]):
            raise UserError(f"{table.where}: line {line}, column {column!r}: {cell!r} is no finite number; mend it")
    return values


def check_missing(table: Table, columns: Sequence[str], values: np.ndarray, fill: Fill) -> None:
    """Refuses missing values that may not be filled in, or have no value before them.

    Raises:
        UserError: The message names the first of them.
    """
    missing = np.isnan(values)
    if fill == "forward":
        missing = np.logical_and.accumulate(missing, axis=0)  # from the first row on
    if not missing.any():
        return
    row, column = (int(at) for at in np.argwhere(missing)[0])
    remedy = "give it, or delete the first rows"
    if fill == "refuse":
        remedy = "give it, or take the value before by --data.table.fill forward"
    raise UserError(
        f"{table.where}: line {table.lines[row]}, column {columns[column]!r}: the value is missing; {remedy}"
    )


def forward_filled(values: np.ndarray) -> np.ndarray:
    """(N, C) with the value before in the place of each NaN; the first row has none."""
    rows = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    return np.take_along_axis(values, np.maximum.accumulate(rows, axis=0), axis=0)
