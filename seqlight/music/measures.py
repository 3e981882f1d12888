"""Notes as notation has them: voices, bars, and values that a note can be written with.

A score holds less than MIDI: here notes begin and end on a grid of 32nds or, within a beat that asks for it, of triplet
32nds. What lies between is moved, and what becomes too short for the grid is left out. Sound and MIDI stay as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece, bar_ticks

VALUES = {
    96: (1, 0), 72: (2, 1), 48: (2, 0), 36: (4, 1), 24: (4, 0), 18: (8, 1), 12: (8, 0), 9: (16, 1), 6: (16, 0),
    3: (32, 0),
}  # fmt: skip
"""Ticks -> fraction of a whole note, dots."""
TRIPLETS = {16: (4, 0), 8: (8, 0), 4: (16, 0), 2: (32, 0)}  # of which three last as long as two
MOST_VOICES = 4  # of a score; notes beyond are left out
MOST_BARS = 400


@dataclass
class Sign:
    """A note, chord or rest as it is written.

    Attributes:
        start: In ticks from the piece's beginning.
        ticks: How long it lasts.
        pitches: None of them for a rest.
        value: Fraction of a whole note: 4 is a quarter.
        dots: How many.
        triplet: Whether it is one of a triplet.
        tied: Whether it goes on in the next sign.
        given: Whether the music began with it.
    """

    start: int
    ticks: int
    pitches: tuple[int, ...]
    value: int
    dots: int
    triplet: bool
    tied: bool = False
    given: bool = False


@dataclass
class Chord:
    """Notes that begin and end together."""

    start: int
    end: int
    pitches: tuple[int, ...]
    given: bool


def beat_ticks(piece: Piece) -> int:
    """What notes are beamed by: three eighths where bars are made of those, else a beat, at most a quarter in 2/2."""
    beats, value = piece.time_signature
    return bar_unit(piece) * (3 if value >= 8 and beats % 3 == 0 else 1)


def bar_unit(piece: Piece) -> int:
    """What triplets stand in for two parts of: a quarter, or a beat where that is shorter."""
    return min(TICKS_PER_QUARTER, 4 * TICKS_PER_QUARTER // piece.time_signature[1])


def voices_of(notes: Sequence[Note], given: int = 0) -> list[list[Chord]]:
    """Notes sorted into voices, the highest first, in each of which one chord sounds at a time.

    Args:
        notes: Sorted by start, then pitch.
        given: How many of them, the first ones, the music began with.
    """
    together: dict[tuple[int, int, bool], list[int]] = {}
    for number, (start, pitch, duration) in enumerate(notes):
        together.setdefault((start, start + duration, number < given), []).append(pitch)
    voices: list[list[Chord]] = []
    for (start, end, old), pitches in sorted(together.items(), key=lambda item: (item[0][0], -max(item[1]))):
        chord = Chord(start, end, tuple(sorted(set(pitches))), old)
        free = [voice for voice in voices if voice[-1].end <= start]
        if free:  # the one it lies nearest to
            min(free, key=lambda voice: abs(voice[-1].pitches[-1] - chord.pitches[-1])).append(chord)
        elif len(voices) < MOST_VOICES:
            voices.append([chord])
    return sorted(voices, key=lambda voice: -sum(chord.pitches[-1] for chord in voice) / len(voice))


def on_grid(voice: Sequence[Chord], unit: int) -> tuple[list[Chord], set[int]]:
    """A voice whose times can be written, and the beats of ``unit`` ticks (where they begin) that are triplets."""
    of_beat: dict[int, set[int]] = {}
    for mark in (time for chord in voice for time in (chord.start, chord.end)):
        of_beat.setdefault(mark - mark % unit, set()).add(mark % unit)
    triplets = {beat for beat, within in of_beat.items() if unit % 6 == 0 and moved(within, 2) < moved(within, 3)}

    def snapped(time: int) -> int:
        beat = time - time % unit
        step = 2 if beat in triplets else 3
        return beat + (time - beat + step // 2) // step * step

    chords = [Chord(snapped(chord.start), snapped(chord.end), chord.pitches, chord.given) for chord in voice]
    return [chord for chord in chords if chord.end > chord.start], triplets


def moved(times: set[int], step: int) -> int:
    """How many ticks the times are from multiples of ``step``, together."""
    return sum(min(time % step, step - time % step) for time in times)


def measures(piece: Piece, voice: Sequence[Chord]) -> list[list[Sign]]:
    """A voice bar by bar, every bar full; as many bars as the piece has, at most 400."""
    bar, unit = bar_ticks(piece), bar_unit(piece)
    end = max((start + duration for start, _, duration in piece.notes), default=1)
    length = min(MOST_BARS, -(-end // bar)) * bar
    chords, triplets = on_grid(voice, unit)
    found: list[list[Sign]] = [[] for _ in range(length // bar)]
    now = 0
    for chord in [*chords, Chord(length, length, (), False)]:
        for part in (Chord(now, min(chord.start, length), (), chord.given), chord):
            signs = list(written(part, bar, unit, triplets, length))
            for sign in signs:
                sign.tied = bool(part.pitches) and sign is not signs[-1]
                found[sign.start // bar].append(sign)
        now = chord.end
    return found


def written(chord: Chord, bar: int, unit: int, triplets: set[int], length: int) -> Iterator[Sign]:
    """The values that a chord is written with, the longest that fit first; none across a bar line or into a triplet."""
    at = chord.start
    while at < min(chord.end, length):
        beat = at - at % unit
        limit = min(chord.end, at - at % bar + bar)
        inside = beat in triplets
        if inside:
            limit = min(limit, beat + unit)
        else:
            limit = min([limit, *(other for other in range(beat + unit, limit, unit) if other in triplets)])
        triplet = inside and limit - at < unit  # what fills the beat is no triplet
        values = TRIPLETS if triplet else VALUES
        ticks = max((value for value in values if value <= limit - at), default=limit - at)
        value, dots = values.get(ticks, (64, 0))
        yield Sign(at, ticks, chord.pitches, value, dots, triplet, given=chord.given)
        at += ticks
