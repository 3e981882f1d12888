"""Times of generated events, so that the length of generated music can be given in bars.

Letters: N events, F fields.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from seqlight.music.notes import Piece, bar_ticks


def elapsed_ticks(events: np.ndarray, tokenizer: Any) -> int:
    """Ticks by which events (N, F) advance the time: the sum of the durations of one voice, or of the shifts."""
    one_voice = tokenizer.fields[0] == "pitch"
    values, ids = (tokenizer.durations, events[:, 1]) if one_voice else (tokenizer.shifts, events[:, 0])
    return sum(values[i] for i in ids.tolist())


def end_of_bars(piece: Piece, bars: int) -> int:
    """The tick at which ``bars`` further bars end. They begin after the bar in which the piece ends."""
    start = max((tick for tick, _ in piece.metres if tick <= piece.end), default=0)
    bar = bar_ticks(piece, start)
    return start + (-(-(piece.end - start) // bar) + bars) * bar


def truncated(piece: Piece, limit: int) -> Piece:
    """The piece up to the tick ``limit``. Later notes are left out, and a note that sounds at ``limit`` ends there."""
    notes = [
        note._replace(duration=min(note.duration, limit - note.start)) for note in piece.notes if note.start < limit
    ]
    return replace(piece, notes=tuple(notes))
