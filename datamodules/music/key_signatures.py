"""Keys: how they are called, and how they are signed."""

import re

from seqlight.core.errors import UserError

Key = tuple[int, str]
"""Tonic as a pitch class from C upwards, and "major" or "minor"."""

MODES = ("major", "minor")
NAMES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")


def sharps(tonic: int, mode: str) -> int:
    """Sharps of a key's signature, flats below 0, from -5 to 6."""
    major = tonic if mode == "major" else tonic + 3  # with the same signature: C for a minor
    return (7 * major + 5) % 12 - 5


def key_of_signature(sharps: int, mode: str) -> Key:
    """The key with so many sharps, or flats below 0: C minor with -3."""
    return (7 * sharps + (9 if mode == "minor" else 0)) % 12, mode


def key_name(key: Key) -> str:
    """Such as "B flat minor"."""
    return f"{NAMES[key[0]]} {key[1]}"


def parse_key(text: str) -> Key:
    """The key of a name such as "G major", "c# minor" or "B flat minor".

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"([a-g])[ -]?(sharp|flat|#|b)?[ -]?(major|minor)", text.strip().lower())
    if found is None:
        raise UserError(f"key {text!r} is none; give {', '.join(NAMES)} with major or minor, such as G major")
    step, accidental, mode = found.groups()
    shift = {None: 0, "sharp": 1, "#": 1, "flat": -1, "b": -1}[accidental]
    return (NAMES.index(step.upper()) + shift) % 12, mode
