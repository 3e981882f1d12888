"""Forecasts as a table."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_forecasts(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the forecasts among the rows of ``predict``, in their order, to ``forecast.csv``.

    A line for each date and series: date, series, and the columns "forecast" or the levels of the quantiles.
    """
    forecasts = [row for row in rows if "series" in row and "date" in row]
    if not forecasts:
        return
    with (folder / "forecast.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = [name for name in forecasts[0] if name != "index"]
        writer.writerow(columns)
        writer.writerows([row[name] for name in columns] for row in forecasts)
