"""Which files of a folder are data."""

import os
from pathlib import Path

import pytest

from seqlight.core.files.found_files import copies_among, files_below, is_stray, named_file, names_below, printable

STRAY = [
    "._a.txt", ".hidden.txt", ".ipynb_checkpoints/a-checkpoint.txt", "a.txt~", "a.bak.txt", "a.txt.bak", "a.TXT.orig",
    ".a.txt.swp", "a.txt.swp", "#a.txt#", "~$a.txt", "a.txt.~1~", "Thumbs.db", "sub/desktop.ini", "__MACOSX/a.txt",
    "lost+found/a.txt", "@eaDir/a.txt", "a.txt.part", ".git/a.txt", "$RECYCLE.BIN/a.txt",
]  # fmt: skip
DATA = ["a.txt", "pos/a.txt", "a.b.txt", "README", "bak.txt", "a~b.txt", "../pos/1.txt", "part.txt", "a.part1.txt"]


@pytest.mark.parametrize("name", STRAY)
def test_what_systems_and_editors_leave_is_no_data(name: str) -> None:
    assert is_stray(name)


@pytest.mark.parametrize("name", DATA)
def test_other_names_are_data(name: str) -> None:
    assert not is_stray(name)


def test_a_folder_is_divided_and_the_rest_is_told(tmp_path: Path) -> None:
    hidden = tmp_path / ".books"
    for name in ("b.TXT", "a/z.txt", "._b.txt", "b.txt~", "n.md", "c.Txt"):
        (hidden / name).parent.mkdir(parents=True, exist_ok=True)
        (hidden / name).write_text(name)
    found = files_below(hidden, (".txt",))
    assert found.files == ["a/z.txt", "b.TXT", "c.Txt"]
    assert found.remark() == "passed over: 2 hidden or backup files (._b.txt, b.txt~), 1 other file (n.md)"
    assert files_below(hidden / "a", (".txt",)).remark() is None


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far/a.txt").write_text("a")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/one").symlink_to(tmp_path / "far")
    (tmp_path / "data/two").symlink_to(tmp_path / "far")
    (tmp_path / "far/round").symlink_to(tmp_path / "data")
    assert names_below(tmp_path / "data") == ["one/a.txt"]


def test_a_name_in_either_case(tmp_path: Path) -> None:
    (tmp_path / "Train.DE").write_text("a")
    assert named_file(tmp_path, "train.de") == tmp_path / "Train.DE"
    (tmp_path / "train.de").write_text("b")
    assert named_file(tmp_path, "train.de") == tmp_path / "train.de"
    assert named_file(tmp_path, "TRAIN.de") is None  # which of the two?
    assert named_file(tmp_path / "none", "train.de") is None


def test_copies_are_found_by_their_contents(tmp_path: Path) -> None:
    long = "x" * 70_000
    contents = {"a": long, "b": long + "1", "c": long + "2", "d": long, "e": "", "f": "", "g": long + "2"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    found = copies_among([tmp_path / name for name in contents])
    assert [(copy.name, first.name) for copy, first in found] == [("d", "a"), ("g", "c")]


def test_names_that_are_no_utf_8_can_be_printed() -> None:
    assert printable(os.fsdecode(b"caf\xe9.txt")) == "caf\\xe9.txt"
    assert printable("caf\xe9.txt") == "caf\xe9.txt"
