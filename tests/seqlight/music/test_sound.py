"""Sound: pitches and times of the synthesiser, WAV files, and calls of fluidsynth."""

import io
import math
import subprocess
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.music_pieces import piece_from, piece_of

from seqlight.music import fluidsynth, synth
from seqlight.music.notes import Piece


def strongest(sound: np.ndarray, rate: int) -> float:
    """Frequency of the highest peak of the spectrum, in Hz, between bins by a parabola through its logarithm."""
    spectrum = np.log(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) + 1e-12)
    at = int(spectrum[1:-1].argmax()) + 1
    left, middle, right = spectrum[at - 1 : at + 2]
    return (at + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / len(sound)


@pytest.mark.parametrize("pitch", [36, 45, 57, 60, 69, 81, 96])
def test_a_note_has_its_frequency(pitch: int) -> None:
    sound = synth.render(piece_from("one", ((0, pitch, 24),), quarters_per_minute=60))
    expected = 440 * 2 ** ((pitch - 69) / 12)
    assert abs(12 * math.log2(strongest(sound, synth.SAMPLE_RATE) / expected)) < 0.05  # semitones


def test_each_note_sounds_at_its_time() -> None:
    piece = piece_of([(57, 24), (64, 48), (60, 12), (69, 12)])
    sound, rate = synth.render(piece, 16_000), 16_000
    tick = 60 / 72 / 24
    for start, pitch, duration, _ in piece.notes:  # the second half of each, when the one before has died away
        part = sound[int((start + duration / 2) * tick * rate) : int((start + duration) * tick * rate)]
        assert round(69 + 12 * math.log2(strongest(part, rate) / 440)) == pitch
    assert len(sound) == pytest.approx((96 * tick + synth.RELEASE) * rate, abs=2)
    assert np.abs(sound).max() == pytest.approx(synth.PEAK, abs=1e-6)


def test_chords_contain_all_their_notes_and_rests_are_silent() -> None:
    sound = synth.render(piece_from("chord", ((0, 60, 24), (0, 67, 24), (96, 60, 24)), quarters_per_minute=60))
    rate = synth.SAMPLE_RATE
    spectrum = np.abs(np.fft.rfft(sound[:rate] * np.hanning(rate)))  # a bin a Hz
    peaks = [
        spectrum[round(synth.frequency(pitch)) - 1 : round(synth.frequency(pitch)) + 2].max() for pitch in (60, 67)
    ]
    assert min(peaks) > 20 * np.median(spectrum)
    assert min(peaks) > 0.3 * max(peaks)
    assert not sound[int(1.5 * rate) : int(3.9 * rate)].any()


def test_round_trip_of_a_wav_file() -> None:
    sound = np.array([0, 0.5, -0.5, 1, -1, 2], dtype=np.float32)
    with wave.open(io.BytesIO(synth.wav(sound, 8000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 8000, 6)
        samples = np.frombuffer(file.readframes(6), "<i2")
    np.testing.assert_array_equal(samples, [0, 16384, -16384, 32767, -32767, 32767])


def test_empty_and_very_long_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not synth.render(piece_from("empty", ())).any()
    assert len(synth.render(piece_from("empty", ()))) > 0
    monkeypatch.setattr(synth, "MAX_SECONDS", 5)
    late = piece_from("late", ((0, 60, 10**9), (10**9, 62, 5)), quarters_per_minute=60)
    assert len(synth.render(late)) == math.ceil((synth.MAX_NOTE_SECONDS + synth.RELEASE) * synth.SAMPLE_RATE)


def fake_program(code: int, said: str = "", writes: bool = True) -> object:
    """Stands in for subprocess.run: notes the command, writes the file."""
    seen: list[list[str]] = []

    def run(command: list[str], **kwargs: object) -> SimpleNamespace:
        seen.append(command)
        if writes:
            Path(command[command.index("-F") + 1]).write_bytes(b"RIFF")
        return SimpleNamespace(returncode=code, stderr=said, stdout="")

    run.seen = seen  # type: ignore[attr-defined]
    return run


@pytest.fixture
def font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "own.sf2"
    path.write_bytes(b"")
    monkeypatch.setenv("SOUNDFONT", str(path))
    monkeypatch.setattr(fluidsynth.shutil, "which", lambda name: f"/bin/{name}")
    return path


def test_fluidsynth_is_called_loud_enough(font: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = fake_program(0)
    monkeypatch.setattr(fluidsynth.subprocess, "run", run)
    assert fluidsynth.available()
    fluidsynth.render(tmp_path / "a.mid", tmp_path / "a.wav")
    (command,) = run.seen  # type: ignore[attr-defined]
    assert command[:4] == ["/bin/fluidsynth", "-ni", "-g", "1"]
    assert command[-2:] == [str(font), str(tmp_path / "a.mid")]


@pytest.mark.parametrize(("code", "writes"), [(1, True), (0, False)])
def test_fluidsynth_that_fails_is_named(
    font: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, writes: bool
) -> None:
    monkeypatch.setattr(fluidsynth.subprocess, "run", fake_program(code, "loading\nno soundfont\n", writes))
    with pytest.raises(OSError, match=r"fluidsynth failed on .*a\.mid: no soundfont"):
        fluidsynth.render(tmp_path / "a.mid", tmp_path / "a.wav")


def test_fluidsynth_that_hangs_is_stopped(font: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **kwargs: object) -> None:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(fluidsynth.subprocess, "run", hang)
    with pytest.raises(OSError, match="took more than 300 s"):
        fluidsynth.render(tmp_path / "a.mid", tmp_path / "a.wav")


def test_soundfonts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUNDFONT", raising=False)
    monkeypatch.setattr(fluidsynth, "FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    assert fluidsynth.find_soundfont() is None
    assert not fluidsynth.available()
    for name in ("a.sf3", "default-GM.sf2", "readme.txt"):
        (tmp_path / name).touch()
    assert fluidsynth.find_soundfont() == tmp_path / "default-GM.sf2"
    monkeypatch.setenv("SOUNDFONT", str(tmp_path / "gone.sf2"))
    with pytest.raises(FileNotFoundError, match=r"^SOUNDFONT '.*gone\.sf2' is not a file"):
        fluidsynth.find_soundfont()


@pytest.mark.skipif(not fluidsynth.available(), reason="fluidsynth or a soundfont is not installed")
def test_fluidsynth_plays_the_pitch(tmp_path: Path) -> None:
    from datamodules.music.sources.midi_files import write_midi
    from seqlight.music.notes import Note

    write_midi(tmp_path / "a.mid", Piece("a", (Note(0, 57, 48),), quarters_per_minute=60))
    fluidsynth.render(tmp_path / "a.mid", tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        sound = np.frombuffer(file.readframes(2 * rate), "<i2").reshape(-1, channels).mean(1)
    spectrum = np.abs(np.fft.rfft(sound[rate // 4 : rate // 4 + rate] * np.hanning(rate)))  # a bin a Hz
    assert np.abs(sound).max() > 0.05 * 2**15
    harmonics = np.array([spectrum[220 * n - 3 : 220 * n + 4].max() for n in (1, 2, 3)])
    assert harmonics.max() == spectrum[50:700].max()  # no peak that is not A's
