"""What a forecaster has to know of the series that it was trained on."""

from dataclasses import dataclass, field

from seqlight.core.errors import UserError

UNITS = {"week": 604_800.0, "day": 86_400.0, "hour": 3_600.0, "minute": 60.0, "second": 1.0}  # seconds


@dataclass(frozen=True)
class SeriesStatistics:
    """Names, scale and step of C series, taken from the training part alone.

    A series enters a model as (value - center) / scale.

    Attributes:
        names: Of the series; an empty list where nothing is known yet.
        center: Mean of each series.
        scale: Standard deviation of each series; 1 for a constant one.
        naive_errors: Mean absolute error of the seasonal naive forecast, of each series as scaled. MASE is in units of
            it.
        season: Steps of a season, 1 or more.
        step: Time between two rows, such as "3600 s", "1 month" or "1 row" (datamodules/series/dates.py).

    Raises:
        UserError: The lists have different lengths.
    """

    names: list[str] = field(default_factory=list)
    center: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    naive_errors: list[float] = field(default_factory=list)
    season: int = 1
    step: str = "1 row"

    def __post_init__(self) -> None:
        lengths = [len(held) for held in (self.names, self.center, self.scale, self.naive_errors)]
        if len(set(lengths)) > 1:
            raise UserError(f"SeriesStatistics lists must have one entry a series, not {lengths} entries")


def step_in_words(step: str) -> str:
    """A step of :class:`SeriesStatistics` for people, such as "1 hour" for "3600 s".

    Args:
        step: The step. One that is no number of seconds is returned as it is.
    """
    try:
        seconds = float(step.removesuffix(" s"))
    except ValueError:
        return step
    for unit, size in UNITS.items():
        if seconds >= size and seconds % size == 0:
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return step
