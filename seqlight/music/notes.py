"""Pieces of music as notes on a grid of 24 ticks a quarter, and operations on them.

24 ticks hold sixteenths, thirty-seconds and triplets of eighths and sixteenths exactly. All times of the project are
such ticks, as whole numbers. Pitches are MIDI's: 60 is the C in the middle of the piano (C4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.music.keys import Key

TICKS_PER_QUARTER = 24
HIGHEST_PITCH = 127  # of MIDI; the lowest is 0


class Note(NamedTuple):
    """One note.

    Attributes:
        start: When it begins, in ticks from the piece's beginning.
        pitch: MIDI pitch, 0 to 127.
        duration: How long it lasts, in ticks, at least 1.
    """

    start: int
    pitch: int
    duration: int


@dataclass(frozen=True)
class Piece:
    """Notes in order, with what is needed to show and to play them.

    Attributes:
        name: What it is called; of a file, its path within the folder, as a rule without the ending.
        notes: Sorted by start, then by pitch, then by duration.
        time_signature: Beats of a bar and what fraction of a whole note each is, at the beginning.
        quarters_per_minute: Tempo at the beginning.
        key: Tonic as a pitch class and "major" or "minor", where something says so; a label, and not compared.
        moved: Number of notes that reading moved to the grid; no part of the music, and not compared.
    """

    name: str
    notes: tuple[Note, ...]
    time_signature: tuple[int, int] = (4, 4)
    quarters_per_minute: float = 72.0
    key: Key | None = field(default=None, compare=False)
    moved: int = field(default=0, compare=False)

    @property
    def end(self) -> int:
        """When the last sound stops, in ticks; 0 of a piece without notes."""
        return max((note.start + note.duration for note in self.notes), default=0)


def bar_ticks(piece: Piece) -> int:
    """Ticks of a bar, at least 1."""
    beats, value = piece.time_signature
    return max(1, beats * 4 * TICKS_PER_QUARTER // value)


def bar_of(piece: Piece, tick: int) -> int:
    """Number of the bar that a time falls in, from 1 on.

    The first time signature is taken to hold throughout, and the piece to begin with a full bar: a MIDI file does not
    say that it begins with an upbeat.
    """
    beats, fraction = piece.time_signature
    return tick * fraction // (4 * TICKS_PER_QUARTER * beats) + 1


def top_voice(piece: Piece) -> Piece:
    """The highest note at each onset, cut off where the next one begins: at most one note sounds at a time.

    A chord becomes its top note; of two notes on the highest pitch the longer one stays. Where a lower note begins
    while a higher one is held, the lower one sounds next, so that every onset of the piece stays.
    """
    highest = [list(chord)[-1] for _, chord in groupby(piece.notes, key=lambda note: note.start)]
    followers = [*(note.start for note in highest[1:]), piece.end]
    cut = [
        note._replace(duration=min(note.duration, after - note.start))
        for note, after in zip(highest, followers, strict=False)
    ]
    return replace(piece, notes=tuple(cut))


def transposed(piece: Piece, semitones: int) -> Piece:
    """The piece higher (or lower) by some semitones.

    Raises:
        UserError: A note would leave MIDI's range.
    """
    for note in piece.notes:
        if not 0 <= note.pitch + semitones <= HIGHEST_PITCH:
            raise UserError(f"semitones {semitones} moves pitch {note.pitch} out of MIDI's range, 0 to 127")
    key = None if piece.key is None else ((piece.key[0] + semitones) % 12, piece.key[1])
    return replace(piece, notes=tuple(note._replace(pitch=note.pitch + semitones) for note in piece.notes), key=key)


def stretched(piece: Piece, times: int, over: int = 1) -> Piece | None:
    """The piece in note values ``times / over`` as long, its bars too (3/4 doubled is 3/2), or None where one of them
    would not be a whole number."""
    if any(note.start * times % over or note.duration * times % over for note in piece.notes):
        return None
    notes = [Note(start * times // over, pitch, duration * times // over) for start, pitch, duration in piece.notes]
    beats, fraction = piece.time_signature
    metre = (beats, fraction * over // times) if fraction * over % times == 0 else (beats * times, fraction * over)
    return replace(piece, notes=tuple(notes), time_signature=metre)


def beginning(piece: Piece, bars: int) -> Piece:
    """The notes that start in the first bars."""
    return replace(piece, notes=tuple(note for note in piece.notes if bar_of(piece, note.start) <= bars))


def excerpts(pieces: Iterable[Piece], length: int) -> list[Piece]:
    """Pieces cut into parts of ``length`` notes from their beginning; what is left at the end is not taken.

    Numbers such as the fraction of different 4-grams or the longest copy depend on a sequence's length: only music of
    the same length is compared by them. A piece that is shorter as a whole is one part. Parts keep their place in the
    piece, so that bars stay bars.

    Raises:
        UserError: The length is below 1.
    """
    check_range("length", length, least=1)
    return [
        replace(piece, notes=tuple(piece.notes[at : at + length]))
        for piece in pieces
        for at in range(0, max(1, len(piece.notes) - length + 1), length)
    ]


def plain(note: Sequence[int]) -> Note:
    """A note of plain ints, out of a list such as a row of a prediction."""
    start, pitch, duration = note
    return Note(int(start), int(pitch), int(duration))
