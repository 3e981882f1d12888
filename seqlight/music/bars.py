"""Where events stand in time, so that the length of new music can be given in bars.

N events, F fields.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from seqlight.music.notes import Piece, bar_ticks


def ticks(events: np.ndarray, tokenizer: Any) -> int:
    """By how much events (N, F) move the clock: with one voice by their durations, else by their shifts."""
    one_voice = len(tokenizer.fields) == 2
    values, ids = (tokenizer.durations, events[:, 1]) if one_voice else (tokenizer.shifts, events[:, 0])
    return sum(values[i] for i in ids.tolist())


def end_of_bars(piece: Piece, bars: int) -> int:
    """The tick at which so many bars after a piece end; the bar that the piece ends in is full first."""
    end, bar = piece.end, bar_ticks(piece)
    return (-(-end // bar) + bars) * bar


def cut(piece: Piece, limit: int) -> Piece:
    """The piece up to a tick: no note begins there or later, and what sounds there is cut off."""
    notes = [
        note._replace(duration=min(note.duration, limit - note.start)) for note in piece.notes if note.start < limit
    ]
    return replace(piece, notes=tuple(notes))
