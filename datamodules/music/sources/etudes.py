"""Etudes for cello, composed by rule: music enough to learn from with no data at hand.

An etude has a key, a metre and a figure of broken chords that goes through the harmonies of its phrases bar by bar.
Phrases walk the circle of fifths, from a degree down a fifth to the next, and close on the dominant (half cadence) or
on the tonic (full cadence); the last bar is a run down the scale into a held chord. What comes next is thus partly
certain (the figure, the metre), partly a matter of harmony (the chord), partly free (key, figure, length).
"""

import numpy as np

from seqlight.core.hyperparameters import check_range
from seqlight.music.keys import MODES, key_name
from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece

LOWEST, HIGHEST = 36, 76  # C2, the cello's lowest string, and E5, the fourth finger's on its highest
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Degrees of the scale (0 the tonic), a bar each.
OPENINGS = ((0, 3, 4, 0), (0, 5, 1, 4), (0, 3, 6, 2), (0, 4, 5, 2), (0, 1, 4, 0))
SEQUENCE = (0, 3, 6, 2, 5, 1, 4, 0)  # all seven, each a fifth below the one before
HALF_CADENCE, FULL_CADENCE = (0, 3, 1, 4), (3, 1, 4)
# Metre, steps of a figure, ticks of a step: sixteenths, eighths, and triplets of eighths.
METRES = (
    ((4, 4), 8, 6),
    ((4, 4), 8, 12),
    ((4, 4), 6, 8),
    ((3, 4), 6, 12),
    ((3, 4), 4, 6),
    ((6, 8), 6, 12),
)


def etudes(count: int, seed: int) -> list[Piece]:
    """Etudes 0 to ``count`` - 1 of a seed; each depends only on its number and the seed.

    Raises:
        UserError: The count is below 1.
    """
    check_range("count", count, least=1)
    return [_etude(seed, number) for number in range(count)]


def _etude(seed: int, number: int) -> Piece:
    rng = np.random.default_rng([seed, number])
    tonic, mode = int(rng.integers(12)), MODES[int(rng.integers(2))]
    metre, size, ticks = METRES[int(rng.integers(len(METRES)))]
    bar_ticks = 4 * TICKS_PER_QUARTER * metre[0] // metre[1]
    first, second = _figure(rng, size), _figure(rng, size)
    degrees = _harmony(rng)
    notes: list[Note] = []
    for bar, degree in enumerate(degrees):
        tones = _chord(tonic, mode, degree)
        # The second figure answers in every fourth bar, before the phrase goes on.
        figure = second if bar % 4 == 3 else first
        for start in range(bar * bar_ticks, (bar + 1) * bar_ticks, size * ticks):
            for step, steps, tone, neighbour in figure:
                pitch = _below(tonic, mode, tones[tone]) if neighbour else tones[tone]
                notes.append(Note(start + step * ticks, pitch, steps * ticks))
    notes += _close(tonic, mode, len(degrees) * bar_ticks, bar_ticks, ticks)
    name = f"etude {number} in {key_name((tonic, mode))}"
    return Piece(name, tuple(sorted(notes)), metre, float(rng.integers(60, 100)), (tonic, mode))


def _figure(rng: np.random.Generator, size: int) -> list[tuple[int, int, int, bool]]:
    """A figure of broken chords: of each note its step, its length in steps, the chord's tone, and whether it is the
    scale's neighbour below that tone.

    It begins with the bass, goes on among the four tones above by small leaps, may touch a neighbour between two of the
    same tone, and may hold its bass for two steps.
    """
    tones = [0, int(rng.integers(1, 5))]
    while len(tones) < size:
        tones.append(int(rng.choice([tone for tone in range(1, 5) if 1 <= abs(tone - tones[-1]) <= 2])))
    touched = int(rng.integers(3, size)) - 1 if rng.random() < 0.5 else 0
    if touched:
        tones[touched - 1 : touched + 2] = [tones[touched]] * 3
    held = touched != 2 and rng.random() < 0.3  # the neighbour's tone comes before it
    steps = [(0, 2)] + [(step, 1) for step in range(2, size)] if held else [(step, 1) for step in range(size)]
    return [(step, length, tones[step], step == touched > 0) for step, length in steps]


def _harmony(rng: np.random.Generator) -> list[int]:
    """Degrees of all bars but the last two: an opening, a half cadence or a sequence or both, and a full cadence."""
    degrees = list(OPENINGS[int(rng.integers(len(OPENINGS)))])
    form = int(rng.integers(3))
    if form != 1:
        degrees += HALF_CADENCE
    if form != 0:
        degrees += SEQUENCE
    return [*degrees, 0, *FULL_CADENCE]


def _scale(tonic: int, mode: str, raised: bool = False) -> set[int]:
    """Pitch classes of a key; in minor with the seventh degree raised on the dominant."""
    classes = {(tonic + step) % 12 for step in SCALES[mode]}
    if raised and mode == "minor":
        classes = classes - {(tonic + 10) % 12} | {(tonic + 11) % 12}
    return classes


def _chord(tonic: int, mode: str, degree: int) -> list[int]:
    """The bass and four tones a fifth or more above it, of a degree's triad; on the fifth, of its seventh chord."""
    scale = SCALES[mode]
    steps = [scale[(degree + third) % 7] for third in ((0, 2, 4, 6) if degree == 4 else (0, 2, 4))]
    if degree == 4 and mode == "minor":
        steps = [11 if step == 10 else step for step in steps]
    classes = {(tonic + step) % 12 for step in steps}
    bass = LOWEST + (tonic + steps[0] - LOWEST) % 12
    upper = [pitch for pitch in range(bass + 7, HIGHEST + 1) if pitch % 12 in classes]
    return [bass, *upper[:4]]


def _below(tonic: int, mode: str, pitch: int) -> int:
    """The scale's next pitch below one."""
    scale = _scale(tonic, mode, raised=(pitch - tonic) % 12 == 0)
    return next(lower for lower in range(pitch - 1, pitch - 4, -1) if lower % 12 in scale)


def _close(tonic: int, mode: str, start: int, bar_ticks: int, ticks: int) -> list[Note]:
    """A bar's run down the scale to the tonic, and the tonic's chord for a bar."""
    bass = LOWEST + (tonic - LOWEST) % 12
    count = min(bar_ticks // ticks, 10)
    pitch = bass + 12
    run = [pitch]
    while len(run) < count:
        pitch = next(higher for higher in range(pitch + 1, pitch + 5) if higher % 12 in _scale(tonic, mode))
        run.append(pitch)
    first = bar_ticks - count * ticks  # the run ends with the bar; the tonic is held before it where there is room
    notes = [Note(start, bass, first)] if first else []
    notes += [Note(start + first + place * ticks, pitch, ticks) for place, pitch in enumerate(reversed(run))]
    third = 4 if mode == "major" else 3
    return notes + [Note(start + bar_ticks, bass + step, bar_ticks) for step in (0, 7, 12 + third)]
