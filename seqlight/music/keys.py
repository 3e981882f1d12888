"""Keys: how they are called, how they are signed, and which one music is in by its pitch classes."""

import re
from typing import Any

import numpy as np

from seqlight.core.errors import UserError

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

Key = tuple[int, str]
"""Tonic as a pitch class from C upwards, and "major" or "minor"."""

MODES = ("major", "minor")
NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")

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
KEYS = _standard(np.array([np.roll(PROFILES[mode], tonic) for mode in MODES for tonic in range(12)]))


def find_key(pitch_classes: Array) -> Key:
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


def sharps(tonic: int, mode: str) -> int:
    """Sharps of a key's signature, flats below 0, from -5 to 6."""
    return (7 * relative_major(tonic, mode) + 5) % 12 - 5


def key_of_signature(sharps: int, mode: str) -> Key:
    """The key with so many sharps, or flats below 0: C minor with -3."""
    return (7 * sharps + (9 if mode == "minor" else 0)) % 12, mode


def key_name(key: Key) -> str:
    """Such as "B flat minor"."""
    return f"{NAMES[key[0]]} {key[1]}"


def parse_key(text: str, name: str = "key") -> Key:
    """The key of a name such as "G major", "c# minor" or "B flat minor".

    Args:
        text: The name.
        name: What an error calls it.

    Raises:
        UserError: It is none.
    """
    found = re.fullmatch(r"([a-g])[ -]?(sharp|flat|#|b)?[ -]?(major|minor)", text.strip().lower())
    if found is None:
        raise UserError(f"{name} {text!r} is none; give {', '.join(NAMES)} with major or minor, such as G major")
    step, accidental, mode = found.groups()
    shift = {None: 0, "sharp": 1, "#": 1, "flat": -1, "b": -1}[accidental]
    return (NAMES.index(step.upper()) + shift) % 12, mode
