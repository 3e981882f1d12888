"""Pieces of music as lists of notes, and operations on them.

A quarter note has 24 ticks, so sixteenths, thirty-seconds and triplets of eighths and sixteenths are whole numbers of
ticks. All times in this project are ticks. Pitches are MIDI pitches: 60 is middle C (C4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.music.keys import Key

TICKS_PER_QUARTER = 24
HIGHEST_PITCH = 127  # in MIDI; the lowest is 0
VELOCITY = 80  # of notes whose loudness is not known
Metre = tuple[int, int]  # beats of a bar, and denominator of the beat's note value


class Note(NamedTuple):
    """One note.

    Attributes:
        start: Onset in ticks from the beginning of the piece.
        pitch: MIDI pitch, 0 to 127.
        duration: Duration in ticks, at least 1.
        velocity: Loudness in MIDI, 1 to 127.
    """

    start: int
    pitch: int
    duration: int
    velocity: int = VELOCITY


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
        metres: Further time signatures, each with the tick at which it begins, sorted; a bar begins there.
        tempos: Further tempos in quarters a minute, each with the tick at which it begins, sorted.
    """

    name: str
    notes: tuple[Note, ...]
    time_signature: Metre = (4, 4)
    quarters_per_minute: float = 72.0
    key: Key | None = field(default=None, compare=False)
    moved: int = field(default=0, compare=False)
    metres: tuple[tuple[int, Metre], ...] = ()
    tempos: tuple[tuple[int, float], ...] = ()

    @property
    def end(self) -> int:
        """Time in ticks at which the last note ends; 0 for a piece without notes."""
        return max((note.start + note.duration for note in self.notes), default=0)


def metre_at(piece: Piece, tick: int) -> Metre:
    """The time signature that holds at a time."""
    return next((metre for start, metre in reversed(piece.metres) if start <= tick), piece.time_signature)


def metres_of(piece: Piece) -> set[Metre]:
    """All time signatures of a piece."""
    return {piece.time_signature, *(metre for _, metre in piece.metres)}


def bar_ticks(piece: Piece, tick: int = 0) -> int:
    """Number of ticks in a bar at a time, by default at the beginning; at least 1."""
    beats, value = metre_at(piece, tick)
    return max(1, beats * 4 * TICKS_PER_QUARTER // value)


def bar_number(piece: Piece, tick: int) -> int:
    """Number of the bar that contains a time; the first bar is 1.

    The piece is assumed to begin with a full bar, because a MIDI file does not state an upbeat. A bar within which the
    time signature changes ends there.
    """
    number, begin = 0, 0
    (beats, fraction) = piece.time_signature
    for start, metre in piece.metres:
        if start > tick:
            break
        number -= -(start - begin) * fraction // (4 * TICKS_PER_QUARTER * beats)  # rounded up
        begin, (beats, fraction) = start, metre
    return number + (tick - begin) * fraction // (4 * TICKS_PER_QUARTER * beats) + 1


def bar_starts(piece: Piece, end: int) -> list[int]:
    """The ticks before ``end`` at which bars begin."""
    found: list[int] = []
    changes = [(0, piece.time_signature), *piece.metres]
    for (start, (beats, value)), until in zip(changes, [*(tick for tick, _ in piece.metres), end], strict=True):
        quarters = 4 * TICKS_PER_QUARTER * beats
        bars = -(-(min(until, end) - start) * value // quarters)
        found += [start + bar * quarters // value for bar in range(bars)]
    return found


def seconds_at(piece: Piece, tick: int) -> float:
    """Seconds from the beginning of a piece to a time, by its tempos."""
    found, begin, tempo = 0.0, 0, piece.quarters_per_minute
    for start, following in piece.tempos:
        if start >= tick:
            break
        found += (start - begin) * 60 / tempo / TICKS_PER_QUARTER
        begin, tempo = start, following
    return found + (tick - begin) * 60 / tempo / TICKS_PER_QUARTER


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
    notes = [
        note._replace(start=note.start * times // over, duration=note.duration * times // over) for note in piece.notes
    ]
    return replace(
        piece,
        notes=tuple(notes),
        time_signature=_stretched_metre(piece.time_signature, times, over),
        metres=tuple((tick * times // over, _stretched_metre(metre, times, over)) for tick, metre in piece.metres),
        tempos=tuple((tick * times // over, tempo) for tick, tempo in piece.tempos),
    )


def _stretched_metre(metre: Metre, times: int, over: int) -> Metre:
    beats, fraction = metre
    return (beats, fraction * over // times) if fraction * over % times == 0 else (beats * times, fraction * over)


def first_bars(piece: Piece, bars: int) -> Piece:
    """The piece with the notes that start in its first bars, and the changes of metre and tempo in them."""

    def kept(tick: int) -> bool:
        return bar_number(piece, tick) <= bars

    return replace(
        piece,
        notes=tuple(note for note in piece.notes if kept(note.start)),
        metres=tuple(change for change in piece.metres if kept(change[0])),
        tempos=tuple(change for change in piece.tempos if kept(change[0])),
    )


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
    """The note with the values (start, pitch, duration) or also velocity, such as those of a prediction, as ints."""
    return Note(*map(int, values))
