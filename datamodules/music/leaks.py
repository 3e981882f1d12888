"""Melodies that test pieces share with the training set, in whatever key.

The chorales of Bach harmonise hymn tunes, many of them several times, and the published split of the JSB chorales puts
settings of one tune on both sides. A piece is called leaked where a stretch of its melody, as intervals, stands in a
training piece too.
"""

from collections.abc import Iterable, Sequence

from datamodules.music.sources.jsb_files import Chorale
from seqlight.core.errors import UserError

INTERVALS = 16  # four bars of quarters
Stretch = tuple[int, ...]


def melody(chorale: Chorale) -> list[int | None]:
    """The highest pitch of each frame; None in silence."""
    return [frame[-1] if frame else None for frame in chorale.frames]


def stretches(chorale: Chorale, intervals: int = INTERVALS) -> set[Stretch]:
    """All runs of so many consecutive intervals in the melody, in semitones; none goes across a silence.

    Raises:
        ValueError: ``intervals`` is below 1.
    """
    if intervals < 1:
        raise UserError(f"intervals must be at least 1, not {intervals}")
    found: set[Stretch] = set()
    steps: list[int] = []
    before: int | None = None
    for pitch in melody(chorale):
        if pitch is None or before is None:
            steps = []
        else:
            steps.append(pitch - before)
        if len(steps) >= intervals:
            found.add(tuple(steps[-intervals:]))
        before = pitch
    return found


def leaked(pieces: Sequence[Chorale], training: Iterable[Chorale], intervals: int = INTERVALS) -> list[bool]:
    """Whether each piece shares a stretch of its melody with a training piece."""
    known: set[Stretch] = set()
    for chorale in training:
        known |= stretches(chorale, intervals)
    return [not known.isdisjoint(stretches(piece, intervals)) for piece in pieces]
