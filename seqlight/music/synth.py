"""A small additive synthesiser: notes to sound with nothing but NumPy.

Each note is a sum of sine waves at whole multiples of its frequency, the n-th weaker than the one before and dying away
sooner, under an envelope that rises quickly and falls slowly: something between an organ and a plucked string.
"""

import io
import math
import wave
from functools import lru_cache
from typing import Any

import numpy as np

from seqlight.music.notes import TICKS_PER_QUARTER, Piece

Sound = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE_RATE = 22_050  # Hz
PARTIALS = 16  # at most, and none above the half of the rate
ATTACK, RELEASE = 0.02, 0.08  # seconds; the release sounds after the note's end
PEAK = 0.7  # loudest moment, of what 16 bits can hold
HELD = 10.0  # seconds after which a note that is still held has died away
LONGEST = 15 * 60  # seconds that are rendered; the rest of longer music is silent


def frequency(pitch: int) -> float:
    """Hz of a MIDI pitch in equal temperament, A4 (69) = 440."""
    return 440.0 * 2 ** ((pitch - 69) / 12)


@lru_cache(maxsize=256)  # music has few different notes; 256 of half a second are 11 MB
def tone(pitch: int, seconds: float, rate: int = SAMPLE_RATE) -> Sound:
    """One note with its release, as numbers around 0."""
    time = np.arange(math.ceil((seconds + RELEASE) * rate)) / rate
    base = frequency(pitch)
    sound = np.zeros_like(time)
    for partial in range(1, PARTIALS + 1):
        if partial * base < rate / 2:
            decay = np.exp(-(0.6 + 0.5 * partial) * time)
            sound += np.sin(2 * np.pi * partial * base * time) * decay / partial**1.3
    envelope = np.minimum(1.0, time / ATTACK) * np.clip((seconds + RELEASE - time) / RELEASE, 0.0, 1.0)
    return np.asarray(sound * envelope, dtype=np.float32)


def render(piece: Piece, rate: int = SAMPLE_RATE) -> Sound:
    """A piece's sound.

    Args:
        piece: The music; its first 15 minutes are rendered.
        rate: Samples a second.

    Returns:
        (N,) between -0.7 and 0.7; a moment of silence for a piece without notes.
    """
    seconds = 60 / piece.quarters_per_minute / TICKS_PER_QUARTER  # of a tick
    parts = []
    for start, pitch, duration in piece.notes:
        if start * seconds < LONGEST:
            parts.append((round(start * seconds * rate), pitch, min(duration * seconds, HELD)))
    length = max((start + math.ceil((time + RELEASE) * rate) for start, _, time in parts), default=rate // 10)
    mix = np.zeros(length, dtype=np.float32)
    for start, pitch, time in parts:
        sound = tone(pitch, time, rate)
        mix[start : start + len(sound)] += sound
    loudest = float(np.abs(mix).max())
    return mix * np.float32(PEAK / loudest) if loudest else mix


def wav(sound: Sound, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file's content, one channel of 16 bits, of sound between -1 and 1."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes())
    return buffer.getvalue()
