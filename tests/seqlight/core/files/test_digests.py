"""What a file holds decides on its digest, and neither its name nor its time."""

import os
from pathlib import Path

import pytest

from seqlight.core.files import digests
from seqlight.core.files.digests import digest_of, digest_of_all, print_of_all


def test_contents_decide(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_bytes(b"abc")
        os.utime(path, ns=(5, 5))
    assert digest_of(one) == digest_of(two)
    assert digest_of_all([one]) == digest_of_all([two]) != digest_of_all([one, two])
    before = digest_of(one)
    one.write_bytes(b"abd")
    os.utime(one, ns=(5, 5))
    assert digest_of(one) != before


def test_very_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "READ_WHOLE", 1000)
    monkeypatch.setattr(digests, "BLOCK", 100)
    path = tmp_path / "large"
    path.write_bytes(bytes(9950))
    whole = digest_of_all([path])
    for at, is_read in ((0, True), (9949, True), (9950 // 2, False), (99, True), (100, False)):
        path.write_bytes(bytes(at) + b"x" + bytes(9949 - at))
        assert (digest_of_all([path]) != whole) == is_read, at
    path.write_bytes(bytes(9951))
    assert digest_of_all([path]) != whole
    known = print_of_all([path])
    os.utime(path, ns=(7, 7))
    assert print_of_all([path]) != known
