"""Which pieces are the same music: copies, and settings of one hymn tune. A split may not divide them.

A model that has trained on one of them knows the others, however they are called.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence

from datamodules.music.leaks import stretches
from datamodules.music.sources.jsb_files import Chorale
from seqlight.music.notes import TICKS_PER_QUARTER, Piece

PHRASES = 12  # intervals, about two phrases. 382 chorales are 201 families by it, of 11 at most; by 10, chance alone
# chains 93 of them together, and by 16 they are 227.
Traits = Callable[[Piece], Iterable[Hashable]]


def families(pieces: Sequence[Piece], traits: Traits) -> list[int]:
    """A number for each piece, the same for those that share a trait, be it through others between them.

    The number is the place of the family's first piece.
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
    """The trait of copies: all notes, as seen from the first, so that one in another key is a copy too."""
    if not piece.notes:
        return []
    base = piece.notes[0].pitch
    return [tuple((start, pitch - base, duration) for start, pitch, duration in piece.notes)]


def tune_traits(piece: Piece) -> list[Hashable]:
    """The traits of settings of one tune: each run of 12 intervals of the melody, from quarter to quarter.

    The melody is the highest pitch that sounds on each quarter, which passes over passing notes and is the same in any
    key. A setting in another metre or in other note values has other runs, and is not told. Copies are kin as well.
    """
    quarters = -(-piece.end // TICKS_PER_QUARTER)
    highest: list[int | None] = [None] * quarters
    for start, pitch, duration in piece.notes:
        for quarter in range(-(-start // TICKS_PER_QUARTER), -(-(start + duration) // TICKS_PER_QUARTER)):
            highest[quarter] = max(pitch, highest[quarter] or 0)
    frames = tuple(() if pitch is None else (pitch,) for pitch in highest)
    return [*stretches(Chorale(piece.name, frames), PHRASES), *note_traits(piece)]
