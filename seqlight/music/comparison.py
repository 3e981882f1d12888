"""Compares generated with real music by the same statistics, with their range among real music."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from seqlight.music.notes import Piece, excerpts

ONE_SIDED = (
    "longest_copy",
    "median_copy",
    "share_in_copies",
    "out_of_range",
)  # smaller values than those of real music are good too
FEWEST_SETS, MOST_SETS, PARTS = 3, 12, 6

Measure = Callable[[Sequence[Piece], Sequence[Piece]], dict[str, float]]
"""Pieces, and what they are compared with, to the numbers of seq_modules/training/music_metrics.py by name."""


class Row(NamedTuple):
    """One statistic.

    Attributes:
        name: Its name in the log.
        samples: Its value for the generated music.
        held_out: Its value for real music that the model has not seen.
        low: Its lowest value among the sets of real music, each compared with all others.
        high: Its highest value among them.
    """

    name: str
    samples: float
    held_out: float
    low: float
    high: float

    @property
    def distance(self) -> float:
        """Absolute difference between generated and held-out music."""
        return abs(self.samples - self.held_out)

    @property
    def within(self) -> bool:
        """Whether the value is in the range of real music; for copies, whether it is at most the highest."""
        return self.samples <= self.high and (self.name in ONE_SIDED or self.samples >= self.low)


def compare(
    samples: Sequence[Piece],
    held_out: Sequence[Piece],
    training: Sequence[Piece],
    notes: int,
    sets: str,
    measure: Measure,
) -> list[Row]:
    """The table of all statistics.

    Args:
        samples: Generated music, of ``notes`` notes each or fewer.
        held_out: Real pieces that the model has not seen.
        training: Those that it was trained on, with which both are compared.
        notes: Length of the parts that real pieces are cut into, so that like is compared with like.
        sets: As in :func:`sets_of`.
        measure: How to take the numbers.
    """
    ours = measure(samples, training)
    theirs = measure(excerpts(held_out, notes), training)
    groups = sets_of([*training, *held_out], sets)
    among = [
        measure(excerpts(group, notes), [piece for other in groups if other is not group for piece in other])
        for group in groups
    ]
    return [
        Row(name, ours[name], theirs[name], min(row[name] for row in among), max(row[name] for row in among))
        for name in ours
    ]


def sets_of(pieces: Sequence[Piece], pattern: str) -> list[list[Piece]]:
    """Pieces by sets, such as the suites they are from.

    Args:
        pieces: Pieces; of those with one name, the first is taken.
        pattern: Regular expression, found in a name: what it matches names the set. Where that gives fewer than 3 or
            more than 12 sets, the pieces are dealt out into six.
    """
    by_name = {piece.name: piece for piece in reversed(pieces)}
    found: dict[str, list[Piece]] = {}
    for name in sorted(by_name):
        if match := re.search(pattern, name):
            found.setdefault(match[0], []).append(by_name[name])
    if FEWEST_SETS <= len(found) <= MOST_SETS:
        return list(found.values())
    ordered = [by_name[name] for name in sorted(by_name)]
    return [part for part in (ordered[at::PARTS] for at in range(PARTS)) if part]


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
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
