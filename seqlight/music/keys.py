"""Which key music is in, by its pitch classes."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

# How well each pitch class fits after a context of C major and of C minor: Krumhansl and Kessler 1982, as in
# Krumhansl, Cognitive Foundations of Musical Pitch (1990), p. 30.
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic


def _standard(rows: Array) -> Array:
    """Rows less their mean, of length 1 (or 0, where all entries are equal)."""
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-12)


# (24, 12): the profiles of the twelve major keys from C upwards, then of the minor keys.
KEYS = _standard(np.array([np.roll(PROFILES[mode], tonic) for mode in ("major", "minor") for tonic in range(12)]))


def find_key(pitch_classes: Array) -> tuple[int, str]:
    """The key whose profile correlates best with how often, or how long, each pitch class sounds.

    The algorithm of Krumhansl and Schmuckler (Krumhansl 1990, chapter 4).

    Args:
        pitch_classes: (12,) weights, from C upwards.

    Returns:
        Tonic as a pitch class, and "major" or "minor".
    """
    best = int(np.argmax(KEYS @ _standard(np.asarray(pitch_classes, dtype=float))))
    return best % 12, "major" if best < 12 else "minor"


def relative_major(tonic: int, mode: str) -> int:
    """Tonic of the major key with the same signature: C for a minor."""
    return tonic if mode == "major" else (tonic + 3) % 12
