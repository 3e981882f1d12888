"""Files are replaced in one step, and parts that nobody will complete are removed."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from seqlight.core.files.replacing import part_of, remove_parts, replacing


def test_an_error_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_parts_of_ended_processes_are_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    own = part_of(tmp_path / "last.ckpt")
    host = socket.gethostname()
    left = tmp_path / f".last.ckpt.{host}-{ended.pid}.part"
    kept = [own, tmp_path / f".last.ckpt.{host}x-{ended.pid}.part", tmp_path / ".my.part", tmp_path / "last.ckpt"]
    for path in (left, *kept):
        path.write_text("")
    folder = tmp_path / f".parts.{host}-{ended.pid}.part"
    folder.mkdir()
    (folder / "0").write_text("")
    remove_parts(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert os.getpid() == int(own.name.split("-")[-1].removesuffix(".part"))
