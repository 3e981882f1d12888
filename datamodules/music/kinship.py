"""Finds pieces that are the same music: copies, and settings of one hymn tune. A split must not separate them.

A model that was trained on one of them would know the others.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence

from datamodules.music.leaks import stretches
from datamodules.music.sources.jsb_files import Chorale
from seqlight.music.notes import TICKS_PER_QUARTER, Piece

# Intervals that two tunes must have in common, about two phrases. With 12, the 382 chorales are 201 families of at most
# 11 pieces. With 10, chance alone joins 93 of them, and with 16 there are 227 families.
PHRASES = 12
Traits = Callable[[Piece], Iterable[Hashable]]


def families(pieces: Sequence[Piece], traits: Traits) -> list[int]:
    """A family number for each piece. Pieces with a trait in common, directly or through others, are one family.

    The number is the index of the family's first piece.
    """
    parents = list(range(len(pieces)))

    def head(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    first: dict[Hashable, int] = {}
    for number, piece in enumerate(pieces):
        for trait in traits(piece):
            one, other = sorted((head(first.setdefault(trait, number)), head(number)))
            parents[other] = one
    return [head(at) for at in range(len(pieces))]


def note_traits(piece: Piece) -> list[Hashable]:
    """The trait of copies: all notes relative to the first pitch, so that a transposed piece is a copy too."""
    if not piece.notes:
        return []
    base = piece.notes[0].pitch
    return [tuple((start, pitch - base, duration) for start, pitch, duration, _ in piece.notes)]


def tune_traits(piece: Piece) -> list[Hashable]:
    """The traits of settings of one tune: each run of 12 intervals of the melody, from quarter to quarter.

    The melody is the highest pitch that sounds on each quarter. This skips passing notes, and intervals are the same in
    any key. A setting in another metre or in other note values is not recognised. The trait of copies is included.
    """
    quarters = -(-piece.end // TICKS_PER_QUARTER)
    highest: list[int | None] = [None] * quarters
    for start, pitch, duration, _ in piece.notes:
        for quarter in range(-(-start // TICKS_PER_QUARTER), -(-(start + duration) // TICKS_PER_QUARTER)):
            highest[quarter] = max(pitch, highest[quarter] or 0)
    frames = tuple(() if pitch is None else (pitch,) for pitch in highest)
    return [*stretches(Chorale(piece.name, frames), PHRASES), *note_traits(piece)]
