"""MIDI files: what is written reads back equal; of a folder the bad files are named and the good ones read."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.music.sources import midi_files as files
from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.midi_files import find_midi_files, read_folder, read_midi, write_midi
from seqlight.music.notes import Note, Piece

symusic = pytest.importorskip("symusic")

NOTES = st.lists(
    st.builds(Note, st.integers(0, 5000), st.integers(0, 127), st.integers(1, 2000), st.integers(1, 127)),
    min_size=1,
    max_size=60,
).map(lambda notes: tuple(sorted(notes)))
METRES = st.tuples(st.integers(1, 64), st.sampled_from([1, 2, 4, 8, 16, 32]))


def distinct(changes: list[tuple[int, tuple[int, int]]]) -> tuple[tuple[int, tuple[int, int]], ...]:
    """Changes from the beginning on, in order, each to something else."""
    found = [(0, changes[0][1])]
    for tick, metre in sorted(dict(changes[1:]).items()):
        if metre != found[-1][1] and tick:
            found.append((tick, metre))
    return tuple(found)


CHANGES = st.lists(st.tuples(st.integers(0, 5000), METRES), min_size=1, max_size=6).map(distinct)


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    write_midi(tmp_path / "good.mid", etudes(1, 0)[0])
    return (tmp_path / "good.mid").read_bytes()


@settings(max_examples=50, deadline=None)
@given(NOTES, CHANGES, CHANGES)
def test_what_is_written_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    notes: tuple[Note, ...],
    metres: tuple[tuple[int, tuple[int, int]], ...],
    times: tuple[tuple[int, tuple[int, int]], ...],
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.mid"
    (_, tempo), *tempos = [(tick, 10.0 + 6 * beats + fraction) for tick, (beats, fraction) in times]
    kept = tuple(one for one, before in zip(tempos, [(0, tempo), *tempos], strict=False) if one[1] != before[1])
    piece = Piece("written", notes, metres[0][1], tempo, metres=metres[1:], tempos=kept)
    write_midi(path, piece)
    assert read_midi(path, velocity=True, tempos=True) == piece
    assert read_midi(path).moved == 0
    plain = tuple(sorted(note._replace(velocity=80) for note in notes))
    assert read_midi(path) == replace(piece, notes=plain, tempos=())


def test_of_changes_repetitions_and_those_of_one_tick_are_put_together(tmp_path: Path) -> None:
    score = symusic.Score(480)
    score.tracks.append(symusic.Track())
    score.tracks[0].notes.append(symusic.Note(0, 480, 60, 0x7F))
    for tick, beats in ((0, 3), (0, 4), (480, 3), (960, 5), (960, 2), (1920, 2), (2400, 99)):
        score.time_signatures.append(symusic.TimeSignature(tick, beats, 4))
    (tmp_path / "a.mid").write_bytes(score.dumps_midi())
    piece = read_midi(tmp_path / "a.mid")
    assert (piece.time_signature, piece.metres) == ((3, 4), ((48, (2, 4)),))
    many = [symusic.TimeSignature(n, 2 + n % 2, 4) for n in range(1001)]
    for one in many:
        score.time_signatures.append(one)
    (tmp_path / "a.mid").write_bytes(score.dumps_midi())
    with pytest.raises(ValueError, match=r"a.mid: 1,00\d time signatures are more than the 1,000 that are read"):
        read_midi(tmp_path / "a.mid")


@pytest.mark.parametrize("key", [None, *((tonic, mode) for tonic in range(12) for mode in ("major", "minor"))])
def test_the_key_signature_is_kept(tmp_path: Path, key: tuple[int, str] | None) -> None:
    write_midi(tmp_path / "a.mid", Piece("a", (Note(0, 60, 24),), key=key))
    assert read_midi(tmp_path / "a.mid").key == key


def test_times_are_rounded_to_the_grid_and_counted(tmp_path: Path) -> None:
    score = symusic.Score(480)
    track = symusic.Track(program=42)
    for start, duration in ((0, 480), (489, 11), (970, 5), (1000, 240)):  # 20 ticks are one of ours
        track.notes.append(symusic.Note(start, duration, 60, 64))
    score.tracks.append(track)
    (tmp_path / "played.mid").write_bytes(score.dumps_midi())
    piece = read_midi(tmp_path / "played.mid")
    assert piece.notes == (Note(0, 60, 24), Note(24, 60, 1), Note(49, 60, 1), Note(50, 60, 12))
    assert piece.moved == 2
    assert (piece.time_signature, piece.quarters_per_minute) == ((4, 4), 120.0)  # what the standard says of silence


def test_drums_are_no_notes(tmp_path: Path, good: bytes) -> None:
    score = symusic.Score.from_midi(good)
    drums = symusic.Track(program=0, is_drum=True)
    drums.notes.append(symusic.Note(0, 480, 35, 90))
    score.tracks.append(drums)
    (tmp_path / "band.mid").write_bytes(score.dumps_midi())
    assert read_midi(tmp_path / "band.mid", "etude 0") == read_midi(tmp_path / "good.mid", "etude 0")
    alone = symusic.Score(480)
    alone.tracks.append(drums)
    (tmp_path / "drums.mid").write_bytes(alone.dumps_midi())
    with pytest.raises(ValueError, match=r"drums\.mid: has only drums"):
        read_midi(tmp_path / "drums.mid")


def test_bad_files_are_named_and_the_rest_is_read(tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = symusic.Score(480)
    silent.tracks.append(symusic.Track(program=42))
    bad = {
        "cut.mid": (good[:-20], "cut short: 20 bytes are missing"),
        "deep/er/empty.MIDI": (b"", "the file is empty"),
        "garbage.mid": (good[:30] + bytes([255] * (len(good) - 30)), "damaged"),
        "header.mid": (good[:14], "has only a header"),
        "half.mid": (good[:8], "cut short within the header"),
        "long.mid": (good + bytes(2**12), "bytes are more than"),
        "silent.mid": (silent.dumps_midi(), "has no notes"),
        "smpte.mid": (good[:12] + b"\xe7\x28" + good[14:], "SMPTE"),
        "text.mid": (b"X:1\nT:not a MIDI file\n", "not a MIDI file"),
        "zero.mid": (good[:12] + b"\0\0" + good[14:], "0 ticks a quarter"),
    }
    monkeypatch.setattr(files, "LARGEST", len(good) + 2**11)
    for name, (content, _) in bad.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "deep/fine.midi").write_bytes(good)
    (tmp_path / "readme.txt").write_text("no music")
    pieces, problems = read_folder(tmp_path)
    assert [piece.name for piece in pieces] == ["deep/fine", "good"]
    assert pieces[0].notes == pieces[1].notes == etudes(1, 0)[0].notes
    assert len(problems) == len(bad)
    for (name, (_, reason)), line in zip(sorted(bad.items()), sorted(problems), strict=True):
        assert line.startswith(f"{name}: ")
        assert reason in line
        assert "\n" not in line


def test_names_differ_where_endings_alone_do(tmp_path: Path, good: bytes) -> None:
    for name in ("a.mid", "a.midi", "b.MID", "deep/a.mid", "good.mid"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(good)
    assert [piece.name for piece in read_folder(tmp_path)[0]] == ["a.mid", "a.midi", "b", "deep/a", "good"]


def test_none_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no \.mid or \.midi file"):
        read_folder(tmp_path)
    for name in ("a.mid", "b.mid"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"^path .*: none of 2 MIDI files can be read; the first is a\.mid: the file is"
    ):
        read_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_midi(tmp_path / "c.mid")


def test_damaged_bytes_never_do_more_than_be_refused(tmp_path: Path, good: bytes) -> None:
    draw, read, refused = random.Random(0), 0, []
    for _ in range(150):
        content = bytearray(good)
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(len(good))] = draw.randrange(256)
        (tmp_path / "x.mid").write_bytes(content)
        try:
            piece = read_midi(tmp_path / "x.mid")
        except ValueError as error:
            refused.append(str(error))
        else:
            read += 1
            assert all(note.start >= 0 and 0 <= note.pitch <= 127 and note.duration >= 1 for note in piece.notes)
    assert all(line.startswith(f"path {tmp_path / 'x.mid'}: ") for line in refused)
    assert read
    assert refused


def test_a_single_file_is_a_folder_of_one(tmp_path: Path, good: bytes) -> None:
    assert find_midi_files(tmp_path / "good.mid") == [tmp_path / "good.mid"]
    pieces, problems = read_folder(tmp_path / "good.mid")
    assert [piece.name for piece in pieces] == ["good"]
    assert problems == []


def test_a_program_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^program must be at least 0 and at most 127, not 128"):
        write_midi(tmp_path / "a.mid", etudes(1, 0)[0], program=128)
    write_midi(tmp_path / "new/a.mid", etudes(1, 0)[0], program=19)
    assert symusic.Score(str(tmp_path / "new/a.mid")).tracks[0].program == 19


def test_without_symusic_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bytes) -> None:
    monkeypatch.setitem(sys.modules, "symusic", None)
    with pytest.raises(ValueError, match="pip install symusic"):
        read_midi(tmp_path / "good.mid")
