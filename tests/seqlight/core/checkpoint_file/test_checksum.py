"""No flipped bit, and no cut, of a checkpoint passes for the whole; files of other programs are still read."""

import zipfile
from pathlib import Path

import pytest
import torch

from seqlight.core.checkpoint_file.checksum import is_whole, seal
from seqlight.core.checkpoint_file.reading import read_plain
from seqlight.core.errors import UserError

HELD = {"weights": torch.arange(3.0), "names": ["a", "b"]}


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(HELD, path)
    seal(path)
    assert is_whole(path)
    whole = path.read_bytes()
    for at in (*range(0, len(whole) - 110, 11), *range(len(whole) - 110, len(whole))):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        assert not is_whole(path), at
    for size in range(1, len(whole), 19):
        path.write_bytes(whole[:-size])
        assert not is_whole(path) or not path.read_bytes().startswith(b"PK"), size


def test_torch_and_zip_read_what_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(HELD, path)
    seal(path)
    for mapped in (True, False):
        assert torch.load(path, weights_only=True, mmap=mapped)["names"] == ["a", "b"]
    assert read_plain(path)["weights"].tolist() == [0, 1, 2]
    assert zipfile.ZipFile(path).testzip() is None


def test_a_file_of_another_program_is_checked_by_its_own_sums(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(HELD, path)
    assert is_whole(path)
    whole = path.read_bytes()
    at = whole.index(HELD["weights"].numpy().tobytes()) + 5
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(UserError, match=r"a\.ckpt: is damaged, for its checksum does not fit, .* use another"):
        read_plain(path)
    path.write_bytes(b"no zip")
    assert is_whole(path)  # what it is its reader finds out


def test_a_folder_of_parts(tmp_path: Path) -> None:
    folder = tmp_path / "last.ckpt"
    folder.mkdir()
    for name in ("__0_0.distcp", "__1_0.distcp", ".metadata"):
        (folder / name).write_bytes(name.encode())
    assert is_whole(folder)  # of a version without checksums
    seal(folder)
    assert is_whole(folder)
    (folder / "__1_0.distcp").write_bytes(b"__1_0.distcq")
    assert not is_whole(folder)
    seal(folder)
    (folder / "__0_0.distcp").unlink()
    assert not is_whole(folder)
