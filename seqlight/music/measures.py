"""Notes as music notation: voices, bars (measures), and note values.

Notation is less precise than MIDI. Onsets and ends are quantised to a grid of 32nds, or of triplet 32nds in a beat that
fits them better. A note that becomes shorter than the grid is left out. Sound and MIDI files are not quantised.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece, bar_ticks

VALUES = {
    96: (1, 0), 72: (2, 1), 48: (2, 0), 36: (4, 1), 24: (4, 0), 18: (8, 1), 12: (8, 0), 9: (16, 1), 6: (16, 0),
    3: (32, 0),
}  # fmt: skip
"""Ticks -> (denominator of the note value, number of dots): 48 ticks are a half note, (2, 0)."""
TRIPLETS = {16: (4, 0), 8: (8, 0), 4: (16, 0), 2: (32, 0)}  # the same in a triplet, where three last as long as two
MAX_VOICES = 4  # notes of further voices are left out
MAX_BARS = 400


@dataclass
class Symbol:
    """A note, chord or rest of one note value. A longer note is several symbols that are tied.

    Attributes:
        start: Onset in ticks from the beginning of the piece.
        ticks: Duration in ticks.
        pitches: MIDI pitches; empty for a rest.
        value: Denominator of the note value: 4 is a quarter note.
        dots: Number of dots.
        triplet: Whether it belongs to a triplet.
        tied: Whether it is tied to the next symbol.
        prompt: Whether its notes belong to the prompt.
    """

    start: int
    ticks: int
    pitches: tuple[int, ...]
    value: int
    dots: int
    triplet: bool
    tied: bool = False
    prompt: bool = False


@dataclass
class Chord:
    """Notes that begin and end together, in ticks; without pitches, a rest."""

    start: int
    end: int
    pitches: tuple[int, ...]
    prompt: bool


def beat_ticks(piece: Piece) -> int:
    """Ticks that one beam spans: three eighths in compound metres such as 6/8, else a beat, at most a quarter."""
    beats, value = piece.time_signature
    return triplet_unit(piece) * (3 if value >= 8 and beats % 3 == 0 else 1)


def triplet_unit(piece: Piece) -> int:
    """Ticks that a triplet fills: a quarter, or a beat if that is shorter."""
    return min(TICKS_PER_QUARTER, 4 * TICKS_PER_QUARTER // piece.time_signature[1])


def split_voices(notes: Sequence[Note], prompt_notes: int = 0) -> list[list[Chord]]:
    """Splits notes into voices, the highest first. A voice has one chord at a time.

    Args:
        notes: The notes, sorted by start, then pitch.
        prompt_notes: Number of notes of the prompt, which come first.
    """
    together: dict[tuple[int, int, bool], list[int]] = {}
    for number, (start, pitch, duration, _) in enumerate(notes):
        together.setdefault((start, start + duration, number < prompt_notes), []).append(pitch)
    voices: list[list[Chord]] = []
    for (start, end, prompt), pitches in sorted(together.items(), key=lambda item: (item[0][0], -max(item[1]))):
        chord = Chord(start, end, tuple(sorted(set(pitches))), prompt)
        free = [voice for voice in voices if voice[-1].end <= start]
        if free:  # the voice whose last chord is nearest in pitch
            min(free, key=lambda voice: abs(voice[-1].pitches[-1] - chord.pitches[-1])).append(chord)
        elif len(voices) < MAX_VOICES:
            voices.append([chord])
    return sorted(voices, key=lambda voice: -sum(chord.pitches[-1] for chord in voice) / len(voice))


def quantised(voice: Sequence[Chord], unit: int) -> tuple[list[Chord], set[int]]:
    """The voice on the grid of note values, and the start of each beat of ``unit`` ticks that is a triplet."""
    times_of_beat: dict[int, set[int]] = {}
    for time in (time for chord in voice for time in (chord.start, chord.end)):
        times_of_beat.setdefault(time - time % unit, set()).add(time % unit)
    triplets = {
        beat
        for beat, times in times_of_beat.items()
        if unit % 6 == 0 and quantisation_error(times, 2) < quantisation_error(times, 3)
    }

    def nearest(time: int) -> int:
        beat = time - time % unit
        step = 2 if beat in triplets else 3
        return beat + (time - beat + step // 2) // step * step

    chords = [Chord(nearest(chord.start), nearest(chord.end), chord.pitches, chord.prompt) for chord in voice]
    return [chord for chord in chords if chord.end > chord.start], triplets


def quantisation_error(times: set[int], step: int) -> int:
    """Sum of the distances of the times, in ticks, to the nearest multiple of ``step``."""
    return sum(min(time % step, step - time % step) for time in times)


def measures(piece: Piece, voice: Sequence[Chord]) -> list[list[Symbol]]:
    """The symbols of a voice by bar. Rests fill every bar. There are as many bars as the piece has, at most 400."""
    bar, unit = bar_ticks(piece), triplet_unit(piece)
    end = max(piece.end, 1)
    length = min(MAX_BARS, -(-end // bar)) * bar
    chords, triplets = quantised(voice, unit)
    bars: list[list[Symbol]] = [[] for _ in range(length // bar)]
    now = 0
    for chord in [*chords, Chord(length, length, (), False)]:
        rest = Chord(now, min(chord.start, length), (), chord.prompt)
        for part in (rest, chord):
            symbols = list(symbols_of(part, bar, unit, triplets, length))
            for symbol in symbols:
                symbol.tied = bool(part.pitches) and symbol is not symbols[-1]
                bars[symbol.start // bar].append(symbol)
        now = chord.end
    return bars


def symbols_of(chord: Chord, bar: int, unit: int, triplets: set[int], length: int) -> Iterator[Symbol]:
    """The symbols of a chord or rest, longest values first. No symbol crosses a bar line or the limits of a triplet."""
    at = chord.start
    while at < min(chord.end, length):
        beat = at - at % unit
        limit = min(chord.end, at - at % bar + bar)
        in_triplet_beat = beat in triplets
        if in_triplet_beat:
            limit = min(limit, beat + unit)
        else:
            limit = min([limit, *(other for other in range(beat + unit, limit, unit) if other in triplets)])
        triplet = in_triplet_beat and limit - at < unit  # a symbol that fills the whole beat is not a triplet
        values = TRIPLETS if triplet else VALUES
        ticks = max((value for value in values if value <= limit - at), default=limit - at)
        value, dots = values.get(ticks, (64, 0))
        yield Symbol(at, ticks, chord.pitches, value, dots, triplet, prompt=chord.prompt)
        at += ticks
