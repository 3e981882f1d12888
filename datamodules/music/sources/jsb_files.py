"""Chorales as frames: the set of pitches that sound on each quarter note, and the file that holds them.

The format is that of the JSB chorales of Boulanger-Lewandowski, Bengio & Vincent (ICML 2012) as JSON: an object with
``train``, ``valid`` and ``test``, each a list of pieces, a piece a list of frames, a frame a list of MIDI pitches. An
empty frame is silence. A set does not say which voice sings what, nor whether a pitch is held or struck again.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

Frame = tuple[int, ...]
"""Pitches that sound together, rising, none twice."""

SPLITS = ("train", "valid", "test")
HIGHEST_PITCH = 127
SILENT = 255  # in packed frames: no pitch
FILE_LIMIT = 64_000_000  # bytes; the published file has 0.4 million
FRAME_LIMIT = 10_000  # frames of one piece


@dataclass(frozen=True)
class Chorale:
    """A piece as frames.

    Attributes:
        name: What it is called: its split and its number in the file.
        frames: One for each quarter note, at least one.
    """

    name: str
    frames: tuple[Frame, ...]


ChoraleSplits = dict[str, list[Chorale]]


def read_frames(path: str | Path) -> ChoraleSplits:
    """The chorales of a JSON file by split: ``train``, ``valid`` and ``test``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is too large, no JSON, or not of the shape above; the message says where.
    """
    file = expanded(path)
    if not file.is_file():
        raise FileNotFoundError(f"path {path}: no such file; give a JSON with train, valid and test chorales")
    if (size := file.stat().st_size) > FILE_LIMIT:
        raise UserError(f"path {path}: {size} bytes are more than {FILE_LIMIT}; give a file that holds only chorales")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of text, JSON, or a number of too many digits
        raise UserError(f"path {path}: it is not JSON ({error}); give one with train, valid and test") from error
    if not isinstance(content, dict) or any(not isinstance(content.get(split), list) for split in SPLITS):
        raise UserError(f"path {path}: it is not an object with the lists train, valid and test")
    try:
        splits = {
            split: [_chorale(f"{split} {n}", piece) for n, piece in enumerate(content[split])] for split in SPLITS
        }
    except ValueError as error:
        raise UserError(f"path {path}: {error}; a piece is a list of frames, a frame a list of MIDI pitches") from error
    for split, chorales in splits.items():
        if not chorales:
            raise UserError(f"path {path}: {split} holds no piece; give each split at least one")
    return splits


def packed(chorales: Sequence[Chorale]) -> dict[str, Any]:
    """Chorales as plain data for a checkpoint: ``frames``, a byte a pitch, and ``lengths``, frames of each piece.

    The 229 training chorales of the published split are 55 KB.
    """
    frames = [frame for chorale in chorales for frame in chorale.frames]
    widest = max(map(len, frames))
    table = [[*frame, *[SILENT] * (widest - len(frame))] for frame in frames]
    return {
        "frames": torch.tensor(table, dtype=torch.uint8),
        "lengths": [len(chorale.frames) for chorale in chorales],
    }


def unpacked(content: Any) -> list[Chorale]:
    """The chorales of :func:`packed`, without their names.

    Raises:
        UserError: The data is not of the shape that :func:`packed` gives.
    """
    match content:
        case {"frames": torch.Tensor() as frames, "lengths": list(lengths)} if (
            frames.dtype == torch.uint8
            and frames.ndim == 2
            and all(type(length) is int and 0 < length <= FRAME_LIMIT for length in lengths)
            and sum(lengths) == len(frames)
            and bool(((frames <= HIGHEST_PITCH) | (frames == SILENT)).all())
        ):
            rows = iter(frames.tolist())
            return [
                Chorale(
                    f"indexed {number}",
                    tuple(tuple(sorted({p for p in next(rows) if p != SILENT})) for _ in range(length)),
                )
                for number, length in enumerate(lengths)
            ]
    raise UserError("the checkpoint's chorales are damaged; use another checkpoint, or one trained anew")


def _chorale(name: str, piece: Any) -> Chorale:
    if not isinstance(piece, list) or not 0 < len(piece) <= FRAME_LIMIT:
        raise UserError(f"{name} is not a list of 1 to {FRAME_LIMIT} frames")
    return Chorale(name, tuple(_frame(f"{name}, frame {at}", pitches) for at, pitches in enumerate(piece)))


def _frame(name: str, pitches: Any) -> Frame:
    # In Python a bool is an int too.
    if not isinstance(pitches, list) or any(type(pitch) is not int for pitch in pitches):
        raise UserError(f"{name} is not a list of whole numbers")
    if any(not 0 <= pitch <= HIGHEST_PITCH for pitch in pitches):
        raise UserError(f"{name} holds a pitch outside 0 to {HIGHEST_PITCH}")
    if len(set(pitches)) < len(pitches):
        raise UserError(f"{name} holds a pitch twice")
    return tuple(sorted(pitches))


# Of the made-up chorales: triads on the degrees of the major scale, and the voices' ranges (lowest, highest).
SCALE = (0, 2, 4, 5, 7, 9, 11)
FOLLOWERS = {0: (3, 4, 5, 1), 1: (4, 6), 3: (4, 0, 1), 4: (0, 0, 5), 5: (1, 3), 6: (0,)}
BASS, TENOR, ALTO, SOPRANO = (40, 60), (48, 67), (55, 74), (60, 81)
PHRASE = 8  # quarters


def made_up_chorales(count: int, seed: int) -> list[Chorale]:
    """Chorales composed by rule, to try the system without data.

    Phrases of eight quarters in a major key: a walk over triads that ends on the dominant or the tonic, the bass on the
    root, the upper voices each on the chord's tone nearest to the one they come from. As with hymn tunes, every fourth
    piece sets the tune of an earlier one, in another key.

    Args:
        count: How many.
        seed: Seed of the pieces; a piece depends only on it and on its number.
    """
    chorales = []
    for number in range(count):
        tune = number
        while tune % 4 == 3:  # an earlier piece may itself set an earlier tune
            tune //= 4
        key = random.Random(f"{seed} key {number}").randint(-5, 6)
        frames = _in_c(random.Random(f"{seed} tune {tune}"))
        chorales.append(Chorale(f"made up {number}", tuple(tuple(pitch + key for pitch in frame) for frame in frames)))
    return chorales


def _in_c(rng: random.Random) -> list[Frame]:
    phrases = rng.randint(2, 4)
    frames: list[Frame] = []
    voices = [rng.randint(low + 4, high - 4) for low, high in (TENOR, ALTO, SOPRANO)]
    for phrase in range(phrases):
        end = 0 if phrase == phrases - 1 else rng.choice((0, 4))
        degree = 0
        for quarter in range(PHRASE):
            if quarter:
                degree = rng.choice(FOLLOWERS[degree])
            if quarter >= PHRASE - 2:  # the cadence, the last chord held
                degree = end
            tones = {SCALE[(degree + step) % 7] for step in (0, 2, 4)}
            voices = [
                _nearest(voice, tones, *limits) for voice, limits in zip(voices, (TENOR, ALTO, SOPRANO), strict=True)
            ]
            bass = _nearest(48, {SCALE[degree]}, *BASS)
            frames.append(tuple(sorted({bass, *voices})))
    return frames


def _nearest(pitch: int, classes: set[int], low: int, high: int) -> int:
    """The pitch of one of the classes in a range that is nearest to another pitch, the lower one of two."""
    return min((p for p in range(low, high + 1) if p % 12 in classes), key=lambda p: (abs(p - pitch), p))
