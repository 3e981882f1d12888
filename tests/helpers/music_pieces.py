"""Pieces for the tests of music."""

import random
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from seqlight.music.notes import VELOCITY, Note, Piece

C_MAJOR = (48, 50, 52, 53, 55, 57, 59, 60, 62, 64, 65, 67)


def piece_from(
    name: str,
    notes: Iterable[tuple[int, int, int]],
    time_signature: tuple[int, int] = (4, 4),
    quarters_per_minute: float = 72.0,
) -> Piece:
    """A piece of plain (start, pitch, duration)."""
    return Piece(name, tuple(Note(*note) for note in notes), time_signature, quarters_per_minute)


def piece_of(events: Iterable[tuple[int, int]], name: str = "piece", time_signature: tuple[int, int] = (4, 4)) -> Piece:
    """A melody of (pitch, duration), one note after the other."""
    notes, now = [], 0
    for pitch, duration in events:
        notes.append((now, pitch, duration))
        now += duration
    return piece_from(name, notes, time_signature)


def melody(
    length: int,
    generator: random.Random,
    name: str = "melody",
    pitches: Sequence[int] = tuple(range(40, 70)),
    durations: Sequence[int] = (3, 6, 9, 12, 18, 24),
) -> Piece:
    """Notes without any order."""
    return piece_of([(generator.choice(pitches), generator.choice(durations)) for _ in range(length)], name)


def tune(length: int, seed: int, tonic: int = 0, name: str = "tune") -> Piece:
    """Steps and small leaps in a major key, in eighths and sixteenths."""
    generator, at, events = random.Random(seed), 5, []
    while len(events) < length:
        for duration in generator.choice([(12, 12), (6, 6, 6, 6), (12, 6, 6), (24,)]):
            at = min(max(at + generator.choice((-2, -1, -1, 1, 1, 2)), 0), len(C_MAJOR) - 1)
            events.append((C_MAJOR[at] + tonic, duration))
    return piece_of(events[:length], name)


def sorted_notes(
    latest: int, highest: int, longest: int, velocity: st.SearchStrategy[int] = st.just(VELOCITY)
) -> st.SearchStrategy[tuple[Note, ...]]:
    """One to forty notes as a piece holds them, for hypothesis: the latest onset, highest pitch, longest duration."""
    note = st.builds(Note, st.integers(0, latest), st.integers(0, highest), st.integers(1, longest), velocity)
    return st.lists(note, min_size=1, max_size=40).map(lambda notes: tuple(sorted(notes)))
