"""Converts frames (sets of pitches at equal distances) to notes."""

from collections.abc import Sequence

from seqlight.music.notes import TICKS_PER_QUARTER


def frames_to_notes(frames: Sequence[tuple[int, ...]], first: int = 0) -> list[list[int]]:
    """The notes of frames of a quarter each, as ``[start, pitch, duration]`` in ticks, sorted by start, then pitch.

    A pitch that the same voice has in the next frame too is held as one note. A voice is the same if its number is
    equal counted from the bottom or counted from the top. Two voices may therefore meet on one pitch.

    Args:
        frames: MIDI pitches of each frame, in rising order.
        first: Index of the first frame, counted from the beginning of the piece.
    """
    notes: list[list[int]] = []
    sounding: dict[int, list[int]] = {}
    before: tuple[int, ...] = ()
    for at, frame in enumerate(frames, first):
        now: dict[int, list[int]] = {}
        for place, pitch in enumerate(frame):
            was = before.index(pitch) if pitch in before else None
            if was is not None and (was == place or len(before) - was == len(frame) - place):
                now[pitch] = sounding[pitch]
                now[pitch][2] += TICKS_PER_QUARTER
            else:
                now[pitch] = [at * TICKS_PER_QUARTER, pitch, TICKS_PER_QUARTER]
                notes.append(now[pitch])
        sounding, before = now, frame
    return notes
