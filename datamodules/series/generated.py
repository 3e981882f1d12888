"""Series that are generated: trend, seasons, level shifts, noise.

N rows, C series.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from datamodules.series.dates import Step
from datamodules.series.series_csv import Series
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import MOST_SEED, check_range

START, HOUR = datetime(2020, 1, 1), 3600.0


@dataclass(frozen=True)
class GeneratedSeries:
    """Hourly series that are generated; the same for a seed.

    Series c at row t is a trend, plus seasons with phases and sizes of its own, plus a level that jumps now and then,
    plus Gaussian noise.

    Attributes:
        num_series: Series C, at least 1.
        num_rows: Rows N, at least 10.
        seasons: Periods of the seasons in rows; each is a wave with its first harmonic.
        trend: Rise from the first row to the last, in amplitudes of a season.
        level_shifts: Jumps of the level, at random rows.
        noise: Standard deviation of the noise, in amplitudes of a season, 0 or more.
        seed: Seed of the series; runs of different seeds (``--seed_everything``) share them.

    Raises:
        UserError: A value is out of its range.
    """

    num_series: int = 3
    num_rows: int = 3000
    seasons: list[int] = field(default_factory=lambda: [24, 168])
    trend: float = 1.0
    level_shifts: int = 3
    noise: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("generated.num_series", self.num_series, least=1)
        check_range("generated.num_rows", self.num_rows, least=10)
        check_range("generated.level_shifts", self.level_shifts, least=0)
        check_range("generated.noise", self.noise, least=0)
        check_range("generated.seed", self.seed, least=0, most=MOST_SEED)
        if min(self.seasons, default=2) < 2:
            raise UserError(f"generated.seasons must be periods of at least 2 rows, not {self.seasons}")


def make_series(config: GeneratedSeries) -> Series:
    """The series, every value of which is observed."""
    rows = np.arange(config.num_rows)
    values = np.empty((config.num_rows, config.num_series))
    for c in range(config.num_series):
        random = np.random.default_rng([config.seed, c])
        value = config.trend * random.choice([-1.0, 1.0]) * rows / config.num_rows
        for period in config.seasons:
            phase, amplitude, harmonic = random.uniform(0, 1), random.uniform(0.5, 1.5), random.uniform(0, 0.5)
            angle = 2 * np.pi * (rows / period + phase)
            value = value + amplitude * (np.sin(angle) + harmonic * np.sin(2 * angle))
        for row in random.integers(1, config.num_rows, config.level_shifts):
            value = value + random.normal() * (rows >= row)
        values[:, c] = value + config.noise * random.normal(size=config.num_rows)
    names = [f"series_{c + 1}" for c in range(config.num_series)]
    return Series(names, values, np.ones(values.shape, dtype=bool), Step(seconds=HOUR), START)
