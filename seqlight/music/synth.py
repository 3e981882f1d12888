"""A small additive synthesiser in NumPy.

Each note is a sum of partials: sine waves at integer multiples of its frequency. Higher partials are weaker and decay
faster. The envelope has a short attack and a longer release. The sound lies between an organ and a plucked string.
"""

import io
import math
import wave
from functools import lru_cache
from typing import Any

import numpy as np

from seqlight.music.notes import VELOCITY, Piece, seconds_at

Sound = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE_RATE = 22_050  # Hz
PARTIALS = 16  # at most; partials above half of the sample rate are left out
ATTACK, RELEASE = 0.02, 0.08  # seconds; the release sounds after the note's end
PEAK = 0.7  # amplitude of the loudest sample; 1 is full scale
MAX_NOTE_SECONDS = 10.0  # a longer note ends here, since its partials have decayed
MAX_SECONDS = 15 * 60  # notes that begin later are not rendered


def frequency(pitch: int) -> float:
    """Frequency of a MIDI pitch in Hz, in equal temperament with A4 (69) at 440 Hz."""
    return 440.0 * 2 ** ((pitch - 69) / 12)


@lru_cache(maxsize=256)  # a piece has few different notes; 256 notes of half a second take 11 MB
def tone(pitch: int, seconds: float, rate: int = SAMPLE_RATE) -> Sound:
    """The sound of one note with its release, (N,), not scaled."""
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
    """The sound of a piece.

    Args:
        piece: The music. Its first 15 minutes are rendered.
        rate: Sample rate in Hz.

    Returns:
        Samples, (N,), between -0.7 and 0.7; a tenth of a second of silence for a piece without notes.
    """
    parts = []
    for start, pitch, duration, velocity in piece.notes:
        begin = seconds_at(piece, start)
        time = round(seconds_at(piece, start + duration) - begin, 9)  # equal notes have equal sounds
        if begin < MAX_SECONDS:
            parts.append((round(begin * rate), pitch, min(time, MAX_NOTE_SECONDS), velocity))
    length = max((start + math.ceil((time + RELEASE) * rate) for start, _, time, _ in parts), default=rate // 10)
    mix = np.zeros(length, dtype=np.float32)
    for start, pitch, time, velocity in parts:
        sound = tone(pitch, time, rate)
        mix[start : start + len(sound)] += sound * np.float32(velocity / VELOCITY)
    loudest = float(np.abs(mix).max())
    return mix * np.float32(PEAK / loudest) if loudest else mix


def wav(sound: Sound, rate: int = SAMPLE_RATE) -> bytes:
    """The content of a WAV file with one channel of 16 bits, for samples between -1 and 1."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32767).round().astype("<i2").tobytes())
    return buffer.getvalue()
