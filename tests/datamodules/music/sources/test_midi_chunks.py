"""MIDI as other programs write it: wrapped, with text behind the tracks, with notes that never end."""

import struct
from pathlib import Path

import pytest

from datamodules.music.sources.midi_files import passed_over, read_folder, read_midi
from seqlight.core.errors import UserError
from seqlight.music.notes import Note

pytest.importorskip("symusic")

END = b"\0\xff\x2f\0"
NOTES = b"".join(bytes([0, 0x90, pitch, 80, 0x83, 0x60, 0x80, pitch, 0]) for pitch in (60, 62))  # 0x8360 is 480 ticks
TWO = (Note(0, 60, 24), Note(24, 62, 24))


def midi(*tracks: bytes, kind: int = 1, count: int | None = None, header: bytes = b"") -> bytes:
    content = (
        b"MThd" + struct.pack(">IHHH", 6 + len(header), kind, len(tracks) if count is None else count, 480) + header
    )
    return content + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


PLAIN = midi(NOTES + END)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN + b"Made with a program, and more text than eight bytes",
        PLAIN + b"\0",
        b"RIFF\xff\0\0\0RMIDdata\xf0\0\0\0" + PLAIN,
        bytes(128) + PLAIN,
        midi(NOTES + END, header=b"\1\2\3\4"),
        midi(NOTES + END, count=3),
        midi(NOTES),
        PLAIN[:14] + b"XFIH\0\0\0\4abcd" + PLAIN[14:],
        midi(NOTES + END, kind=2),
        midi(NOTES, NOTES.replace(b"\x83\x60", b"\0"), kind=0),
        midi(b"\0\xff\x58\4\2\x21\x18\x08" + NOTES + END),
        midi(b"\0\xf0\5\x7e\x7f\x09\x01\xf7" + NOTES + END),
    ],
)
def test_two_notes_in_many_clothes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mid").write_bytes(content)
    piece = read_midi(tmp_path / "a.mid")
    assert (piece.notes, piece.time_signature) == (TWO, (4, 4))


@pytest.mark.parametrize("before", [b"", b"\0\xf0\5\x7e\x7f\x09\x01\xf7"])
@pytest.mark.parametrize("end", [b"\x83\x60\xff\x2f\0", b"\x83\x60\xff\x01\2hi"])
def test_a_note_that_never_ends_lasts_to_the_end_of_its_track(tmp_path: Path, before: bytes, end: bytes) -> None:
    (tmp_path / "a.mid").write_bytes(midi(before + NOTES + b"\0\x95\x40\x50" + end))
    assert read_midi(tmp_path / "a.mid").notes == (*TWO, Note(48, 64, 24))


def test_bad_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    far = b"".join(b"\xff\xff\xff\x7f\xff\x01\0" for _ in range(9))
    bad = {
        "far.mid": (midi(b"\xff\xff\xff\x7f" + NOTES[1:] + END), "has a note outside the 100,000 quarters"),
        "farther.mid": (midi(far + NOTES + END), "has a note outside the 100,000 quarters"),
        "several.mid": (midi(NOTES + END, NOTES + END, kind=2), "of format 2: 2 pieces in one file"),
        "silent.mid": (midi(NOTES.replace(b"\x83\x60", b"\0") + END), "has no notes"),
    }  # fmt: skip
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "GOOD.MID").write_bytes(PLAIN)
    (tmp_path / "._GOOD.MID").write_bytes(b"Mac OS X")
    pieces, problems = read_folder(tmp_path)
    assert [piece.name for piece in pieces] == ["GOOD"]
    for line, (name, (_, reason)) in zip(problems, bad.items(), strict=True):
        assert line.startswith(f"{name}: {reason}")
    assert passed_over(tmp_path) == "passed over: 1 hidden or backup file (._GOOD.MID)"
    (tmp_path / "only").mkdir()
    (tmp_path / "only/a.mid").write_bytes(bad["several.mid"][0])
    with pytest.raises(UserError, match="none of 1 MIDI files can be read"):
        read_folder(tmp_path / "only")
