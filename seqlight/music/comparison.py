"""Compares the statistics of generated music with those of real music, and with their range within real music."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seqlight.music.notes import Piece, excerpts

# Statistics that count as within the range when they are below it.
ONE_SIDED = ("longest_copy", "median_copy", "fraction_in_copies", "out_of_range")
MIN_SETS, MAX_SETS = 3, 12
DEFAULT_SETS = 6  # where the names of the pieces give no usable sets

Measure = Callable[[Sequence[Piece], Sequence[Piece]], dict[str, float]]
"""Takes pieces and the pieces they are compared with; returns statistics by name (training/music_metrics.py)."""


class Row(NamedTuple):
    """One statistic, a row of the table.

    Attributes:
        name: Its name in the log.
        samples: Its value for the generated music.
        held_out: Its value for the held-out music.
        low: Its lowest value over the sets of real music. Each set is compared with all other sets.
        high: Its highest value over the sets.
    """

    name: str
    samples: float
    held_out: float
    low: float
    high: float

    @property
    def distance(self) -> float:
        """Absolute difference between the values of generated and held-out music."""
        return abs(self.samples - self.held_out)

    @property
    def within(self) -> bool:
        """Whether the value lies in the range of real music; for copies, whether it is not above the range."""
        return self.samples <= self.high and (self.name in ONE_SIDED or self.samples >= self.low)


def compare(
    samples: Sequence[Piece],
    held_out: Sequence[Piece],
    training: Sequence[Piece],
    notes: int,
    sets: str,
    measure: Measure,
) -> list[Row]:
    """One row per statistic.

    Args:
        samples: Generated pieces, of at most ``notes`` notes each.
        held_out: Real pieces that the model has not seen.
        training: The training pieces. Both of the others are compared with them.
        notes: Real pieces are cut into parts of this many notes, since some statistics depend on the length.
        sets: Pattern of the sets, as in :func:`group_into_sets`.
        measure: Computes the statistics.
    """
    of_samples = measure(samples, training)
    of_held_out = measure(excerpts(held_out, notes), training)
    groups = group_into_sets([*training, *held_out], sets)
    of_groups = [
        measure(excerpts(group, notes), [piece for other in groups if other is not group for piece in other])
        for group in groups
    ]
    rows = []
    for name, value in of_samples.items():
        real = [statistics[name] for statistics in of_groups]
        rows.append(Row(name, value, of_held_out[name], min(real), max(real)))
    return rows


def group_into_sets(pieces: Sequence[Piece], pattern: str) -> list[list[Piece]]:
    """Groups pieces into sets, such as suites.

    Args:
        pieces: The pieces. Of several with the same name, the first is taken.
        pattern: Regular expression that is searched in each name. Pieces with the same match form a set. If that gives
            fewer than 3 or more than 12 sets, the pieces are divided into six sets in turn.
    """
    by_name = {piece.name: piece for piece in reversed(pieces)}
    found: dict[str, list[Piece]] = {}
    for name in sorted(by_name):
        if match := re.search(pattern, name):
            found.setdefault(match[0], []).append(by_name[name])
    if MIN_SETS <= len(found) <= MAX_SETS:
        return list(found.values())
    ordered = [by_name[name] for name in sorted(by_name)]
    return [part for part in (ordered[first::DEFAULT_SETS] for first in range(DEFAULT_SETS)) if part]


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| statistic | samples | held out | distance | sets of real music, among themselves | within |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        name = row.name.replace("_", " ")
        cells = (row.samples, row.held_out, row.distance)
        numbers = " | ".join(f"{value:.3f}" for value in cells)
        lines.append(f"| {name} | {numbers} | {row.low:.3f} to {row.high:.3f} | {'yes' if row.within else 'no'} |")
    return "\n".join(lines) + "\n"
