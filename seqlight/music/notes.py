"""Pieces of music as lists of notes, and operations on them.

A quarter note has 24 ticks, so sixteenths, thirty-seconds and triplets of eighths and sixteenths are whole numbers of
ticks. All times in this project are ticks. Pitches are MIDI pitches: 60 is middle C (C4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from seqlight.core.checks import check_range
from seqlight.core.errors import UserError
from seqlight.music.keys import Key

TICKS_PER_QUARTER = 24
HIGHEST_PITCH = 127  # in MIDI; the lowest is 0


class Note(NamedTuple):
    """One note.

    Attributes:
        start: Onset in ticks from the beginning of the piece.
        pitch: MIDI pitch, 0 to 127.
        duration: Duration in ticks, at least 1.
    """

    start: int
    pitch: int
    duration: int


@dataclass(frozen=True)
class Piece:
    """Notes in order, with what is needed to show and to play them.

    Attributes:
        name: Name of the piece. For a file, its path within the folder, usually without the extension.
        notes: The notes, sorted by start, then pitch, then duration.
        time_signature: Number of beats in a bar, and denominator of the beat's note value, at the beginning.
        quarters_per_minute: Tempo at the beginning.
        key: Tonic as a pitch class, and "major" or "minor", if the source states it. Ignored by ``==``.
        moved: Number of notes that were quantised to the grid when the file was read. Ignored by ``==``.
    """

    name: str
    notes: tuple[Note, ...]
    time_signature: tuple[int, int] = (4, 4)
    quarters_per_minute: float = 72.0
    key: Key | None = field(default=None, compare=False)
    moved: int = field(default=0, compare=False)

    @property
    def end(self) -> int:
        """Time in ticks at which the last note ends; 0 for a piece without notes."""
        return max((note.start + note.duration for note in self.notes), default=0)


def bar_ticks(piece: Piece) -> int:
    """Number of ticks in a bar, at least 1."""
    beats, value = piece.time_signature
    return max(1, beats * 4 * TICKS_PER_QUARTER // value)


def bar_number(piece: Piece, tick: int) -> int:
    """Number of the bar that contains a time; the first bar is 1.

    The first time signature is assumed to hold for the whole piece. The piece is assumed to begin with a full bar,
    because a MIDI file does not state an upbeat.
    """
    beats, fraction = piece.time_signature
    return tick * fraction // (4 * TICKS_PER_QUARTER * beats) + 1


def top_voice(piece: Piece) -> Piece:
    """The highest note of each onset, shortened to the next onset, so that one note sounds at a time.

    This is a form of the skyline algorithm (Uitdenbogerd & Zobel 1998). Of two notes on the highest pitch, the longer
    one is taken. A lower note that begins during a higher one ends it, so every onset of the piece is kept.
    """
    highest = [list(chord)[-1] for _, chord in groupby(piece.notes, key=lambda note: note.start)]
    next_onsets = [*(note.start for note in highest[1:]), piece.end]
    notes = [
        note._replace(duration=min(note.duration, onset - note.start))
        for note, onset in zip(highest, next_onsets, strict=False)
    ]
    return replace(piece, notes=tuple(notes))


def transposed(piece: Piece, semitones: int) -> Piece:
    """The piece transposed up by ``semitones``; a negative number transposes it down.

    Raises:
        UserError: A pitch would be outside 0 to 127.
    """
    for note in piece.notes:
        if not 0 <= note.pitch + semitones <= HIGHEST_PITCH:
            raise UserError(f"semitones {semitones} moves pitch {note.pitch} out of MIDI's range, 0 to 127")
    key = None if piece.key is None else ((piece.key[0] + semitones) % 12, piece.key[1])
    return replace(piece, notes=tuple(note._replace(pitch=note.pitch + semitones) for note in piece.notes), key=key)


def stretched(piece: Piece, times: int, over: int = 1) -> Piece | None:
    """The piece with all note values multiplied by ``times / over``, and the metre with them (3/4 doubled is 3/2).

    Returns:
        None if an onset or a duration would not be a whole number of ticks.
    """
    if any(note.start * times % over or note.duration * times % over for note in piece.notes):
        return None
    notes = [Note(start * times // over, pitch, duration * times // over) for start, pitch, duration in piece.notes]
    beats, fraction = piece.time_signature
    metre = (beats, fraction * over // times) if fraction * over % times == 0 else (beats * times, fraction * over)
    return replace(piece, notes=tuple(notes), time_signature=metre)


def first_bars(piece: Piece, bars: int) -> Piece:
    """The piece with the notes that start in its first bars."""
    return replace(piece, notes=tuple(note for note in piece.notes if bar_number(piece, note.start) <= bars))


def excerpts(pieces: Iterable[Piece], length: int) -> list[Piece]:
    """Cuts pieces into parts of ``length`` notes. The remainder at the end of a piece is left out.

    Statistics such as the fraction of distinct 4-grams or the longest copy depend on the number of notes, so only parts
    of equal length are compared. A piece with fewer notes is one part. Parts keep their onsets, and so their bars.

    Raises:
        UserError: ``length`` is below 1.
    """
    check_range("length", length, least=1)
    return [
        replace(piece, notes=tuple(piece.notes[at : at + length]))
        for piece in pieces
        for at in range(0, max(1, len(piece.notes) - length + 1), length)
    ]


def to_note(values: Sequence[int]) -> Note:
    """The note with the values (start, pitch, duration), such as those of a prediction, as plain ints."""
    start, pitch, duration = values
    return Note(int(start), int(pitch), int(duration))
