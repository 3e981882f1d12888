"""Figures that are drawn without a screen, and the curves of a run's metrics."""

import csv
import functools
from pathlib import Path
from typing import Any


@functools.cache
def _figure_class() -> type:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    class PlainTextFigure(Figure):
        """A figure in which a ``$`` of a name is a dollar, and not the beginning of a formula."""

        def draw(self, renderer: Any) -> None:
            for text in self.findobj(Text):
                text.set_parse_math(False)
            with matplotlib.rc_context({"text.parse_math": False}):  # of labels that are made while it is drawn
                super().draw(renderer)

    return PlainTextFigure


def new_figure(columns: int = 1, width: float = 6.0, height: float = 3.6, rows: int = 1) -> tuple[Any, Any]:
    """A figure with its axes, row after row in one list; drawn without a screen and without pyplot's global state.

    Its texts are drawn as they are: a ``$`` begins no formula.

    Args:
        columns: Axes in a row.
        width: Of one of them, in inches.
        height: Of one of them, in inches.
        rows: Rows of axes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = _figure_class()(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def new_panels(count: int, columns: int, width: float = 6.0, height: float = 3.6) -> tuple[Any, Any]:
    """A figure with ``count`` axes, at most ``columns`` of them in a row. The sizes are as in :func:`new_figure`."""
    columns = min(columns, count)
    figure, axes = new_figure(columns, width, height, rows=-(-count // columns))
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def use_log_scale(axis: Any) -> None:
    """Makes the y axis of axes logarithmic, with labels such as 0.5 instead of 5 x 10^-1."""
    from matplotlib.ticker import LogFormatter

    class PlainNumbers(LogFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(PlainNumbers())
    axis.yaxis.set_minor_formatter(PlainNumbers(minor_thresholds=(2, 0.4)))  # some labels below two decades


def read_metrics(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Curves of a run's ``metrics.csv``: name -> [(step, value)]; empty if there is no such file."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if not path.is_file():
        return curves
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    curves.setdefault(name, []).append((int(row["step"]), float(value)))
    return curves
