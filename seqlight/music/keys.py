"""Musical keys: their names and key signatures, and finding the key of music from its pitch classes."""

import re
from typing import Any

import numpy as np

from seqlight.core.errors import UserError

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]

Key = tuple[int, str]
"""Tonic as a pitch class (0 is C, 11 is B), and "major" or "minor"."""

MODES = ("major", "minor")
NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")

# Key profiles: listeners' ratings of how well each pitch class fits into C major and into C minor (Krumhansl and
# Kessler 1982, as given by Krumhansl, Cognitive Foundations of Musical Pitch, 1990, p. 30).
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic


def _standardised(rows: Array) -> Array:
    """Rows minus their mean, divided by their norm; zeros where all entries of a row are equal."""
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-12)


# (24, 12): the profiles of the twelve major keys from C upwards, then of the minor keys.
KEYS = _standardised(np.array([np.roll(PROFILES[mode], tonic) for mode in MODES for tonic in range(12)]))


def find_key(pitch_classes: Array) -> Key:
    """The key whose profile has the highest correlation with the weights of the pitch classes.

    This is the algorithm of Krumhansl and Schmuckler (Krumhansl 1990, chapter 4).

    Args:
        pitch_classes: Weight of each pitch class, (12,), from C upwards: its number of notes or its total duration.
    """
    best = int(np.argmax(KEYS @ _standardised(np.asarray(pitch_classes, dtype=float))))
    return best % 12, "major" if best < 12 else "minor"


def relative_major(tonic: int, mode: str) -> int:
    """Tonic of the major key with the same key signature, such as C for A minor."""
    return tonic if mode == "major" else (tonic + 3) % 12


def sharps(tonic: int, mode: str) -> int:
    """Number of sharps in the key signature, from -5 to 6; flats are negative."""
    return (7 * relative_major(tonic, mode) + 5) % 12 - 5


def key_of_signature(sharps: int, mode: str) -> Key:
    """The key with this number of sharps; flats are negative. Minor with -3 is C minor."""
    return (7 * sharps + (9 if mode == "minor" else 0)) % 12, mode


def key_name(key: Key) -> str:
    """The name of a key, such as "B flat minor"."""
    return f"{NAMES[key[0]]} {key[1]}"


def parse_key(text: str, name: str = "key") -> Key:
    """The key with a name such as "G major", "c# minor" or "B flat minor".

    Args:
        text: The name of the key.
        name: Name of the argument, for the error message.

    Raises:
        UserError: ``text`` is not the name of a key.
    """
    found = re.fullmatch(r"([a-g])[ -]?(sharp|flat|#|b)?[ -]?(major|minor)", text.strip().lower())
    if found is None:
        raise UserError(f"{name} {text!r} is not a key; give {', '.join(NAMES)} with major or minor, such as G major")
    step, accidental, mode = found.groups()
    shift = {None: 0, "sharp": 1, "#": 1, "flat": -1, "b": -1}[accidental]
    return (NAMES.index(step.upper()) + shift) % 12, mode
