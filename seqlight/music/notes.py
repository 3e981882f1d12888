"""Pieces of music as lists of notes: what this package asks of them, and what it reads off them.

Times are whole ticks, 24 to a quarter note, which holds 32nds and triplets of 16ths exactly; pitches are MIDI's, middle
C = 60.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from seqlight.core.errors import UserError

TICKS_PER_QUARTER = 24
PITCHES = 128  # of MIDI

Note = tuple[int, int, int]
"""Start in ticks, pitch, duration in ticks."""


class Piece(Protocol):
    """What a piece has; datamodules.music.piece_notes.Piece is one."""

    @property
    def name(self) -> str:
        """What it is called in tables and file names."""

    @property
    def notes(self) -> Sequence[Note]:
        """Sorted by start, then pitch."""

    @property
    def time_signature(self) -> tuple[int, int]:
        """Beats in a bar, and the note value of one."""


@dataclass(frozen=True)
class Excerpt:
    """Notes with what is needed to show and to play them.

    Args:
        name: What it is called.
        notes: (start, pitch, duration) each, sorted by start, then pitch.
        time_signature: Beats in a bar, and the note value of one.
        quarters_per_minute: Speed.
        key: Tonic as a pitch class and "major" or "minor", where something says so.
    """

    name: str
    notes: tuple[Note, ...]
    time_signature: tuple[int, int] = (4, 4)
    quarters_per_minute: float = 72.0
    key: tuple[int, str] | None = None


def quarters_per_minute(piece: Piece) -> float:
    """A piece's speed, where it has one; else 72."""
    return float(getattr(piece, "quarters_per_minute", Excerpt.quarters_per_minute))


def bar_ticks(piece: Piece) -> int:
    """Ticks of a bar, at least 1."""
    beats, value = piece.time_signature
    return max(1, beats * 4 * TICKS_PER_QUARTER // value)


def bar_of(piece: Piece, tick: int) -> int:
    """Number of the bar that a tick lies in, from 1. MIDI knows no upbeat: a first bar that is not full counts too."""
    beats, value = piece.time_signature
    return tick * value // (4 * TICKS_PER_QUARTER * beats) + 1


def top_voice(notes: Iterable[Note]) -> list[Note]:
    """The highest note of each onset, in order, cut off where the next begins: the melody of music with some chords.

    Of two on the highest pitch it is the longer one.
    """
    highest: dict[int, Note] = {}
    for note in notes:
        if note[0] not in highest or note[1:] > highest[note[0]][1:]:
            highest[note[0]] = note
    voice = [highest[start] for start in sorted(highest)]
    ends = [start for start, _, _ in voice[1:]] + [sum(voice[-1][::2])] if voice else []
    return [(start, pitch, min(ticks, end - start)) for (start, pitch, ticks), end in zip(voice, ends, strict=True)]


def excerpts(pieces: Iterable[Piece], length: int) -> list[Excerpt]:
    """Pieces cut into parts of ``length`` notes from their beginning; what is left at the end is not taken.

    Numbers such as the share of different 4-grams or the longest copy depend on a sequence's length: only music of the
    same length is compared by them. A piece that is shorter as a whole is one part. Parts keep their place in the
    piece, so that bars stay bars.

    Raises:
        ValueError: The length is not positive.
    """
    if length < 1:
        raise UserError(f"length must be at least 1, not {length}")
    return [
        Excerpt(piece.name, tuple(map(plain, piece.notes[at : at + length])), piece.time_signature)
        for piece in pieces
        for at in range(0, max(1, len(piece.notes) - length + 1), length)
    ]


def plain(note: Sequence[int]) -> Note:
    """A note as a tuple of plain ints, out of a list or a named tuple."""
    start, pitch, duration = note
    return int(start), int(pitch), int(duration)
