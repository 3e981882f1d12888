"""Frames as notes."""

from collections.abc import Sequence

from seqlight.music.notes import TICKS_PER_QUARTER


def held_notes(frames: Sequence[tuple[int, ...]], first: int = 0) -> list[list[int]]:
    """Frames as notes ``[start, pitch, duration]`` in ticks, by start, then pitch.

    A pitch that sounds in the next frame too, and in the same voice, is held: the voice is the same where it counts
    alike from the top or from the bottom, so that two voices may meet on one pitch.

    Args:
        frames: Rising MIDI pitches each.
        first: Number of the first frame.
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
