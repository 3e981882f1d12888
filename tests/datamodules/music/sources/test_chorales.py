"""Chorales: scores made here are read through music21 as parts, once, and each setting is kept once."""

from pathlib import Path
from typing import Any

import pytest

from datamodules.music.sources import chorales as module
from datamodules.music.sources.chorales import chorales
from seqlight.music.notes import Note

music21 = pytest.importorskip("music21")


def score(folder: Path, name: str, parts: int = 4, semitones: int = 0) -> Path:
    """A score as the corpus has them: an upbeat, a note tied over a bar line, a grace note, a repeat."""
    whole = music21.stream.Score()
    for part in range(parts):
        first = 72 - 7 * part + semitones
        voice = music21.stream.Part(id=f"voice {part}")
        bars = [music21.stream.Measure(number=number) for number in range(3)]
        bars[0].paddingLeft = 2
        bars[0].append(music21.meter.TimeSignature("3/4"))
        bars[0].append(music21.note.Note(first, quarterLength=1))
        tied = [music21.note.Note(first + 2, quarterLength=length) for length in (3, 0.5)]
        tied[0].tie, tied[1].tie = music21.tie.Tie("start"), music21.tie.Tie("stop")
        bars[1].append(tied[0])
        bars[2].append(tied[1])
        bars[2].append(music21.note.Note(first + 4).getGrace())
        bars[2].append(music21.note.Note(first, quarterLength=2.5))
        bars[2].rightBarline = music21.bar.Repeat(direction="end")
        for bar in bars:
            voice.append(bar)
        whole.insert(0, voice)
    path = folder / f"{name}.xml"
    whole.write("musicxml", path)
    return path


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = [
        score(tmp_path, "bwv1"),
        score(tmp_path, "bwv2", semitones=3),  # the same setting in another key
        score(tmp_path, "bwv3", parts=5),
        tmp_path / "bwv4.krn",
    ]
    monkeypatch.setattr(music21.corpus, "getComposer", lambda composer: files)
    return tmp_path / "cache"


def test_parts_are_read_and_merged(corpus: Path) -> None:
    (piece,) = chorales(corpus)
    assert (piece.name, piece.time_signature) == ("bwv1", (3, 4))
    voice = [(0, 0, 24), (24, 2, 84), (108, 0, 60)]  # the upbeat is kept, ties are one note, the repeat is not played
    assert piece.notes == tuple(
        sorted(Note(start, 72 - 7 * part + step, ticks) for part in range(4) for start, step, ticks in voice)
    )
    (soprano,) = chorales(corpus, "top")
    assert soprano.notes == tuple(Note(start, 72 + step, ticks) for start, step, ticks in voice)


def test_the_corpus_is_read_once(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = chorales(corpus)

    def never(*args: Any) -> None:
        raise AssertionError("the corpus is read again")

    monkeypatch.setattr(module, "_read_corpus", never)
    assert chorales(corpus) == first


def test_without_music21_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    with pytest.raises(ValueError, match=r"^source chorales needs music21 .*seqlight\[music\]"):
        chorales(tmp_path)
