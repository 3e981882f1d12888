"""Statistics of one piece, to compare generated with real music.

No statistic ranks music by itself: a single repeated note is perfectly in key. The difference between generated and
held-out music counts. seq_modules/training/music_metrics.py sums the statistics over pieces and processes. Statistics
of the melody use the highest note of each onset.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from seqlight.music.keys import MAJOR_SCALE, find_key, relative_major
from seqlight.music.notes import TICKS_PER_QUARTER, Piece, bar_ticks, top_voice

LONGEST_TIME = 8 * TICKS_PER_QUARTER  # longer durations and inter-onset intervals are counted as this one
WIDEST_INTERVAL = 24  # semitones; wider intervals are counted as this one, up and down separately


def interval_counts(piece: Piece) -> np.ndarray:
    """Number of occurrences of each interval between successive melody notes, (49,): 24 semitones down to 24 up."""
    intervals = np.diff([note.pitch for note in top_voice(piece).notes])
    clipped = intervals.clip(-WIDEST_INTERVAL, WIDEST_INTERVAL) + WIDEST_INTERVAL
    return np.bincount(clipped.astype(int), minlength=2 * WIDEST_INTERVAL + 1).astype(float)


def duration_counts(piece: Piece) -> np.ndarray:
    """Number of notes of each duration, (193,): 0 to 192 ticks, which are 8 quarters."""
    return _time_counts([note.duration for note in piece.notes])


def onset_time_counts(piece: Piece) -> np.ndarray:
    """Number of occurrences of each inter-onset interval (time from one onset to the next), (193,): 0 to 192 ticks."""
    return _time_counts(np.diff(sorted({note.start for note in piece.notes})))


def _time_counts(ticks: Sequence[int] | np.ndarray) -> np.ndarray:
    """Number of occurrences of each number of ticks; those above :data:`LONGEST_TIME` are counted as it."""
    clipped = np.asarray(ticks, dtype=np.int64).clip(0, LONGEST_TIME)
    return np.bincount(clipped, minlength=LONGEST_TIME + 1).astype(float)


def pitch_class_counts(piece: Piece) -> np.ndarray:
    """Number of notes of each pitch class, (12,), from C upwards."""
    return np.bincount([note.pitch % 12 for note in piece.notes], minlength=12).astype(float)


def pitch_class_counts_in_c(piece: Piece) -> np.ndarray:
    """Number of notes of each pitch class, (12,), after transposing the piece to C major or A minor.

    The key of the piece is the one that Krumhansl's algorithm finds.
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
    """Number of distinct 4-grams of melody notes (pitch and duration), divided by the number of all 4-grams.

    This is distinct-n of Li et al. (2016) for n = 4. It decreases with the length, so only pieces of equal length are
    comparable.

    Returns:
        None if the melody has fewer than four notes.
    """
    notes = [note[1:] for note in top_voice(piece).notes]
    grams = [tuple(notes[at : at + 4]) for at in range(len(notes) - 3)]
    return len(set(grams)) / len(grams) if grams else None


def longest_run(piece: Piece) -> float | None:
    """Length of the melody's longest run of notes with the same pitch; None without notes."""
    pitches = (note.pitch for note in top_voice(piece).notes)
    return float(max((len(list(run)) for _, run in groupby(pitches)), default=0)) or None


def onset_jaccard(piece: Piece, bars: Iterable[int] | None = None) -> float | None:
    """Similarity of the rhythms of successive bars, 0 to 1: mean Jaccard index |A ∩ B| / |A ∪ B| of their onsets.

    A and B are the positions of the onsets in two neighbouring bars. The grooving similarity of Wu and Yang (2020) also
    counts positions without an onset as agreement, and is near 1 for any music. A pair of empty bars is left out.

    Args:
        piece: The music.
        bars: Candidate lengths of a bar in ticks; the one with the highest similarity is taken, because generated music
            has no bar lines. Default: the length of the piece's own bars.

    Returns:
        None if all onsets are in one bar.
    """
    found = [_similarity_of_bars(piece, ticks) for ticks in bars or [bar_ticks(piece)]]
    return max((value for value in found if value is not None), default=None)


def _similarity_of_bars(piece: Piece, ticks: int) -> float | None:
    """Mean Jaccard index of successive bars of ``ticks`` ticks; None if all onsets are in one bar."""
    bars: dict[int, set[int]] = {}
    for start, *_ in piece.notes:
        bars.setdefault(start // ticks, set()).add(start % ticks)
    # At least one bar of a pair has an onset. The index with an empty bar is 0.
    pairs = [at for at in {at for bar in bars for at in (bar - 1, bar)} if min(bars) <= at < max(bars)]
    onsets = [(bars.get(at, set()), bars.get(at + 1, set())) for at in pairs]
    return float(np.mean([len(a & b) / len(a | b) for a, b in onsets])) if onsets else None
