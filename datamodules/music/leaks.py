"""Melodies that test pieces have in common with the training set, in any key.

Bach's chorales harmonise hymn tunes, many of them several times. The published split of the JSB chorales has settings
of one tune in training and in the test. A piece is called leaked if a stretch of its melody, as intervals, occurs in a
training piece too.
"""

from collections.abc import Iterable, Sequence

from datamodules.music.sources.jsb_files import Chorale
from seqlight.core.hyperparameters import check_range

INTERVALS = 16  # four bars of quarters
Stretch = tuple[int, ...]


def melody(chorale: Chorale) -> list[int | None]:
    """The highest pitch of each frame; None in silence."""
    return [frame[-1] if frame else None for frame in chorale.frames]


def stretches(chorale: Chorale, intervals: int = INTERVALS) -> set[Stretch]:
    """All runs of ``intervals`` consecutive intervals of the melody, in semitones; silence ends a run.

    Raises:
        UserError: ``intervals`` is below 1.
    """
    check_range("intervals", intervals, least=1)
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
    """Whether each piece has a stretch of its melody in common with a training piece."""
    known: set[Stretch] = set()
    for chorale in training:
        known |= stretches(chorale, intervals)
    return [not known.isdisjoint(stretches(piece, intervals)) for piece in pieces]
