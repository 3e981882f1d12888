"""The page of a forecaster: a file of series, or the series of the training, and how they go on."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seq_modules import Forecaster
from seq_modules.callbacks.series.forecast_csv import write_forecasts
from seq_modules.callbacks.series.forecast_plots import draw
from seqlight.core.plots import new_panels
from seqlight.core.series import step_in_words
from seqlight.web import fragments
from seqlight.web.face import Face, FileField, SliderField
from seqlight.web.trained import Trained, first_batch, predicted

LISTED = 12  # rows of the table


class ForecastFace(Face):
    """Continues the series of a CSV file."""

    title = "A forecaster"
    button = "Forecast"

    def __init__(self, trained: Trained) -> None:
        assert isinstance(trained.module, Forecaster)
        self.trained, self.module = trained, trained.module
        statistics, lookback = trained.module.statistics, trained.module.hparams["lookback"]
        self.step = step_in_words(statistics.step)
        self.hint = (
            f"Give a CSV file with the columns {', '.join(statistics.names)}, {self.step} from row to row, and "
            f"{lookback} rows at least. Without a file the series that the model was trained on go on."
        )
        self.fields = {
            "file": FileField("a CSV file", (".csv", ".tsv")),
            "series": SliderField("series that are drawn", 3, 1, 8, 1),
        }

    def answer(self, file: str | None = None, series: float = 3) -> Iterator[str]:
        """The forecasts as pictures, as a table and as a file."""
        batch = first_batch(self.trained.data(**({} if file is None else {"predict_path": file})))
        rows = predicted(self.module, batch)
        names = self.module.series_names[: int(series)]
        figure = draw_forecasts(self.module, batch, rows, names)
        figure.supxlabel(f"steps of {self.step}; 0 is the first of the forecast", fontsize=9)
        shown = fragments.picture(figure, "the forecast of each series", 80)
        columns = [name for name in rows[0] if name != "index"]
        cells = [[shortest(row[name]) for name in columns] for row in rows[:LISTED]]
        headings = columns if self.module.levels is None else ["date", "series", *map(named, self.module.levels)]
        shown += fragments.title(f"The first {len(cells)} of {len(rows)} values") + fragments.table(headings, cells)
        if self.module.levels is not None:
            shown += note_on_quantiles(self.module.levels)
        with tempfile.TemporaryDirectory() as folder:
            write_forecasts(Path(folder), rows)
            content = (Path(folder) / "forecast.csv").read_bytes()
        yield shown + fragments.download("forecast.csv", "text/csv", content)


def named(level: float) -> str:
    """A quantile for people, by its level: low (10 %), middle, high (90 %)."""
    return "middle" if level == 0.5 else f"{'low' if level < 0.5 else 'high'} ({100 * level:g} %)"


def note_on_quantiles(levels: Sequence[float]) -> str:
    """What the columns of the quantiles mean, by their levels."""
    return fragments.note(
        f"Quantiles: by the model, the probability that a value comes out below {named(levels[0])} is "
        f"{100 * levels[0]:g} %. In the picture the line is the middle, and what lies between low and high is shaded."
    )


def shortest(value: Any) -> str:
    """A cell of the table."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def draw_forecasts(module: Forecaster, batch: dict[str, Any], rows: Sequence[dict[str, Any]], names: list[str]) -> Any:
    """A panel for each of some series: what the model has read, and the forecast with its interval."""
    figure, axes = new_panels(len(names), 1, width=8.0, height=2.4)
    scale, center = module.statistics.scale, module.statistics.center
    for axis, name in zip(axes, names, strict=True):
        c = module.series_names.index(name)
        past = (batch["past_values"][0, :, c] * scale[c] + center[c]).tolist()
        own = [row for row in rows if row["series"] == name]
        levels = [column for column in own[0] if column not in ("index", "date", "series")]
        draw(axis, past, [], [[row[level] for row in own] for level in levels])
        axis.set_title(f"{name}, from {own[0]['date']}", fontsize=9)
    axes[0].legend(axes[0].lines[:2], ["known", "forecast"], fontsize=7)
    return figure
