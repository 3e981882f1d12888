"""Statistics of one piece, to compare generated with real music.

None of them ranks music by itself: a single repeated note is perfectly in key. What matters is the difference between
generated music and held-out music, computed in the same way (seq_modules/training/music_metrics.py sums over pieces and
processes). Melodic statistics use the highest note of each onset.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from seqlight.music.keys import MAJOR_SCALE, find_key, relative_major
from seqlight.music.notes import TICKS_PER_QUARTER, Piece, bar_ticks, top_voice

LONGEST_TIME = 8 * TICKS_PER_QUARTER  # durations and times between onsets above it count as one
WIDEST_INTERVAL = 24  # semitones; wider ones count as one, up and down


def interval_counts(piece: Piece) -> np.ndarray:
    """How often each interval between successive melody notes occurs, from 24 semitones down to 24 up: (49,)."""
    intervals = np.diff([note.pitch for note in top_voice(piece).notes])
    clipped = intervals.clip(-WIDEST_INTERVAL, WIDEST_INTERVAL) + WIDEST_INTERVAL
    return np.bincount(clipped.astype(int), minlength=2 * WIDEST_INTERVAL + 1).astype(float)


def duration_counts(piece: Piece) -> np.ndarray:
    """How often each duration of a note occurs, in ticks, up to 8 quarters: (193,)."""
    return _time_counts([note.duration for note in piece.notes])


def onset_time_counts(piece: Piece) -> np.ndarray:
    """How often each time from one onset to the next (inter-onset interval) occurs, in ticks: (193,)."""
    return _time_counts(np.diff(sorted({note.start for note in piece.notes})))


def _time_counts(ticks: Sequence[int] | np.ndarray) -> np.ndarray:
    """How often each number of ticks occurs, those above :data:`LONGEST_TIME` together."""
    clipped = np.asarray(ticks, dtype=np.int64).clip(0, LONGEST_TIME)
    return np.bincount(clipped, minlength=LONGEST_TIME + 1).astype(float)


def pitch_class_counts(piece: Piece) -> np.ndarray:
    """How many notes each pitch class has, (12,), from C upwards."""
    return np.bincount([note.pitch % 12 for note in piece.notes], minlength=12).astype(float)


def pitch_class_counts_in_c(piece: Piece) -> np.ndarray:
    """How many notes each pitch class has, (12,), after the piece is moved to the key signature of C, minor to a minor.

    Its key is the one that Krumhansl's algorithm finds.
    """
    classes = pitch_class_counts(piece)
    return np.roll(classes, -relative_major(*find_key(classes)))


def scale_consistency(piece: Piece) -> float | None:
    """Largest fraction of the notes in one major or natural minor scale (Mogren 2016); None without notes."""
    if not piece.notes:
        return None
    classes = pitch_class_counts(piece)
    return max(np.roll(classes, -tonic)[list(MAJOR_SCALE)].sum() for tonic in range(12)) / classes.sum()


def distinct_four_grams(piece: Piece) -> float | None:
    """Fraction of different ones among the runs of four melody notes (pitch and duration); None without such a run.

    Distinct-n of Li et al. (2016). It falls with a piece's length: compare pieces of equal length.
    """
    notes = [note[1:] for note in top_voice(piece).notes]
    grams = [tuple(notes[at : at + 4]) for at in range(len(notes) - 3)]
    return len(set(grams)) / len(grams) if grams else None


def longest_run(piece: Piece) -> float | None:
    """How often the melody strikes one pitch in succession, at most; None without notes."""
    pitches = (note.pitch for note in top_voice(piece).notes)
    return float(max((len(list(run)) for _, run in groupby(pitches)), default=0)) or None


def onset_jaccard(piece: Piece, bars: Iterable[int] | None = None) -> float | None:
    """How alike the rhythm of successive bars is, 0 to 1: onsets at the same place over all onsets, mean of the pairs.

    Jaccard's index |A ∩ B| / |A ∪ B| of the onsets in two bars. The grooving similarity of Wu and Yang (2020) counts
    places without an onset as agreement, and is near 1 for any music. Two bars of rest are no pair.

    Args:
        piece: The music.
        bars: Lengths of bars in ticks, of which the one counts that makes the piece most alike: generated music does
            not say where its bars are. By default the piece's own.

    Returns:
        None where all onsets are in one bar.
    """
    found = [_bars_alike(piece, ticks) for ticks in bars or [bar_ticks(piece)]]
    return max((value for value in found if value is not None), default=None)


def _bars_alike(piece: Piece, ticks: int) -> float | None:
    """Mean Jaccard index of a piece's successive bars of some length; None if all its onsets are in one bar."""
    bars: dict[int, set[int]] = {}
    for start, _, _ in piece.notes:
        bars.setdefault(start // ticks, set()).add(start % ticks)
    # A pair has an onset in one of its bars at least; a bar of rest shares nothing with its neighbours.
    pairs = [at for at in {at for bar in bars for at in (bar - 1, bar)} if min(bars) <= at < max(bars)]
    two = [(bars.get(at, set()), bars.get(at + 1, set())) for at in pairs]
    return float(np.mean([len(a & b) / len(a | b) for a, b in two])) if two else None
