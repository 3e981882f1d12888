"""A signature: a piece's metre and key as one event before the notes. The model reads it and never predicts it.

In every field its ids come after those of the notes, so notes have the same ids with and without signatures. N pieces,
F fields.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from seqlight.core.errors import UserError
from seqlight.music.keys import MODES, Key

KEYS = 24  # twelve major ones from C upwards, then the minor ones
MOST_METRES = 64
Metre = tuple[int, int]


class Signatures:
    """Metres and keys to events.

    The last field but one has the key and the last the metre; a field before these has the id "signature". One more id
    stands for an unknown key, and one for a metre that training did not have.

    Args:
        note_sizes: Ids of each field that the notes have.
        metres: Pairs such as (3, 4): beats of a bar, and the fraction of a whole note that a beat is. Sorted here.

    Attributes:
        metres: In the order of the ids.
        sizes: Number of ids that each field has beyond those of the notes.

    Raises:
        UserError: A pair is not a metre.
    """

    def __init__(self, note_sizes: Sequence[int], metres: Iterable[Sequence[int]]) -> None:
        self.metres: list[Metre] = sorted({_checked(metre) for metre in metres})
        self.sizes = [*[1] * (len(note_sizes) - 2), KEYS + 1, len(self.metres) + 1]
        self._first = np.array(note_sizes, dtype=np.int64)

    def event(self, metre: Metre, key: Key | None) -> np.ndarray:
        """The event of a metre and a key (None: unknown), (F,)."""
        ids = self._first.copy()
        ids[-2] += KEYS if key is None else key[0] + 12 * MODES.index(key[1])
        ids[-1] += self.metres.index(metre) if metre in self.metres else len(self.metres)
        return ids

    def transposed(self, events: np.ndarray, semitones: np.ndarray) -> np.ndarray:
        """Events (..., F) with their keys moved by as many semitones (...)."""
        moved, keys = events.copy(), events[..., -2] - self._first[-2]
        moved[..., -2] += np.where(keys < KEYS, keys // 12 * 12 + (keys + semitones) % 12 - keys, 0)
        return moved

    def hidden(self, events: np.ndarray, key: np.ndarray, metre: np.ndarray) -> np.ndarray:
        """Events (..., F) with an unknown key where ``key`` is true (...), and an unknown metre where ``metre`` is."""
        masked = events.copy()
        masked[..., -2] = np.where(key, self._first[-2] + KEYS, events[..., -2])
        masked[..., -1] = np.where(metre, self._first[-1] + len(self.metres), events[..., -1])
        return masked


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
