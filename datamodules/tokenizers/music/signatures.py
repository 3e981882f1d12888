"""A signature: a piece's metre and key as one event before the notes. The model reads it and never predicts it.

In every field its ids come after those of the notes, so notes have the same ids with and without signatures. N pieces,
F fields.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from seqlight.core.errors import UserError
from seqlight.music.keys import MODES, Key
from seqlight.music.notes import Metre

KEYS = 24  # twelve major ones from C upwards, then the minor ones
MOST_METRES = 64


class Signatures:
    """Metres and keys to events.

    The field of the pitch has the key and the next one the metre; any other field has the id "signature". One more id
    stands for an unknown key, and one for a metre that training did not have.

    Args:
        note_sizes: Ids of each field that the notes have.
        metres: Pairs such as (3, 4): beats of a bar, and the fraction of a whole note that a beat is. Sorted here.
        pitch_column: Number of the field of the pitch.

    Attributes:
        metres: In the order of the ids.
        sizes: Number of ids that each field has beyond those of the notes.

    Raises:
        UserError: A pair is not a metre.
    """

    def __init__(self, note_sizes: Sequence[int], metres: Iterable[Sequence[int]], pitch_column: int) -> None:
        self.metres: list[Metre] = sorted({_checked(metre) for metre in metres})
        self.key_column, self.metre_column = pitch_column, pitch_column + 1
        self.sizes = [1] * len(note_sizes)
        self.sizes[self.key_column : self.metre_column + 1] = KEYS + 1, len(self.metres) + 1
        self._first = np.array(note_sizes, dtype=np.int64)

    def event(self, metre: Metre, key: Key | None) -> np.ndarray:
        """The event of a metre and a key (None: unknown), (F,)."""
        ids = self._first.copy()
        ids[self.key_column] += KEYS if key is None else key[0] + 12 * MODES.index(key[1])
        ids[self.metre_column] = self.metre_id(metre)
        return ids

    def metre_id(self, metre: Metre) -> int:
        """The id of a metre in its field."""
        known = self.metres.index(metre) if metre in self.metres else len(self.metres)
        return int(self._first[self.metre_column]) + known

    def transposed(self, events: np.ndarray, semitones: np.ndarray) -> np.ndarray:
        """Events (..., F) with their keys moved by as many semitones (...)."""
        moved, keys = events.copy(), events[..., self.key_column] - self._first[self.key_column]
        moved[..., self.key_column] += np.where(keys < KEYS, keys // 12 * 12 + (keys + semitones) % 12 - keys, 0)
        return moved

    def masked(self, events: np.ndarray, key: np.ndarray, metre: np.ndarray) -> np.ndarray:
        """Events (..., F) with an unknown key where ``key`` is true (...), and an unknown metre where ``metre`` is."""
        found, last = events.copy(), self._first + self.sizes - 1
        for column, masks in ((self.key_column, key), (self.metre_column, metre)):
            found[..., column] = np.where(masks, last[column], events[..., column])
        return found


def parse_metre(text: str, name: str = "metre") -> Metre:
    """The metre of a text such as 3/4.

    Args:
        text: The metre.
        name: The option that messages name.

    Raises:
        UserError: The text is not a metre.
    """
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})", text.strip())
    beats, fraction = (int(number) for number in found.groups()) if found else (0, 0)
    if not 1 <= beats <= 64 or fraction not in (1, 2, 4, 8, 16, 32):
        raise UserError(f"{name} {text!r} is not a metre; give 1 to 64 beats of 1, 2, 4, 8, 16 or 32, such as 3/4")
    return beats, fraction


def _checked(metre: Sequence[int]) -> Metre:
    match metre:
        case (int(beats), int(fraction)) if 1 <= beats <= 128 and 1 <= fraction <= 64 and fraction.bit_count() == 1:
            return beats, fraction
    raise UserError(f"metres: {metre!r} is no metre such as (3, 4)")
