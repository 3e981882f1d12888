"""Vectors that are made once: the same as without a cache, of each text by its ids alone, within the room there is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from seq_modules.nets.pretrained.vector_cache import VectorCache, fingerprint
from seqlight.core.errors import WritingError

IDS = torch.tensor([[5, 6, 7], [5, 6, 0], [8, 9, 3]])
MASK = torch.tensor([[True, True, True], [True, True, False], [True, True, True]])


class Reader:
    """Sums of the ids, and how often it has read what."""

    def __init__(self) -> None:
        self.read: list[list[int]] = []

    def __call__(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        self.read += [row[here].tolist() for row, here in zip(input_ids, mask, strict=True)]
        return (input_ids * mask).sum(1, keepdim=True).float().repeat(1, 2)


def test_each_text_is_read_once_however_it_is_padded() -> None:
    cache, reader = VectorCache(), Reader()
    expected = torch.tensor([[18.0, 18.0], [11.0, 11.0], [20.0, 20.0]])
    torch.testing.assert_close(cache(reader, IDS, MASK), expected)
    torch.testing.assert_close(cache(reader, IDS, MASK), expected)
    wider = torch.nn.functional.pad(IDS, (0, 2)), torch.nn.functional.pad(MASK, (0, 2))
    torch.testing.assert_close(cache(reader, *wider), expected)
    assert reader.read == [[5, 6, 7], [5, 6], [8, 9, 3]]
    new = torch.tensor([[1, 1], [5, 6]])
    torch.testing.assert_close(cache(reader, new, new > 0), torch.tensor([[2.0, 2.0], [11.0, 11.0]]))
    assert reader.read[3:] == [[1, 1]]


def test_what_has_no_room_is_read_each_time() -> None:
    cache, reader = VectorCache(max_bytes=2 * 8), Reader()  # two vectors of two numbers
    first = cache(reader, IDS, MASK)
    torch.testing.assert_close(cache(reader, IDS, MASK), first)
    assert reader.read == [[5, 6, 7], [5, 6], [8, 9, 3], [8, 9, 3]]


def test_a_changed_vector_changes_nothing_in_the_cache() -> None:
    cache, reader = VectorCache(), Reader()
    cache(reader, IDS, MASK).zero_()
    assert cache(reader, IDS, MASK)[0, 0] == 18


def test_an_encoder_is_known_by_its_weights_and_options() -> None:
    torch.manual_seed(0)
    net = nn.Linear(2, 2)
    known = fingerprint(net, "mean", 1)
    assert fingerprint(net, "mean", 1) == known
    assert fingerprint(net, "max", 1) != known
    with torch.no_grad():
        net.weight[0, 0] += 1e-6
    assert fingerprint(net, "mean", 1) != known
    assert fingerprint(net.bfloat16(), "mean", 1) != known


def test_a_file_keeps_them_and_several_processes_add_to_it(tmp_path: Path) -> None:
    path, reader = tmp_path / "vectors" / "encoder.safetensors", Reader()
    first, second = VectorCache(path), VectorCache(path)
    expected = first(reader, IDS[:1], MASK[:1])
    second(reader, IDS[1:], MASK[1:])
    first.save()
    second.save()
    later = VectorCache(path)
    torch.testing.assert_close(later(reader, IDS[:1], MASK[:1]), expected)
    later(reader, IDS, MASK)
    assert reader.read == [[5, 6, 7], [5, 6], [8, 9, 3]]
    before = path.stat().st_mtime_ns
    later.save()  # nothing is new
    assert path.stat().st_mtime_ns == before
    assert later.size == 3 * 8


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    path, reader = tmp_path / "encoder.safetensors", Reader()
    path.write_bytes(b"not vectors")
    cache = VectorCache(path)
    cache(reader, IDS, MASK)
    cache.save()
    VectorCache(path)(reader, IDS, MASK)
    assert len(reader.read) == 3


def test_what_cannot_be_written_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise SafetensorError("I/O error: No space left on device")

    (tmp_path / "file").write_text("")
    of_no_folder, of_a_full_disk = (VectorCache(tmp_path / name / "encoder.safetensors") for name in ("file", "disk"))
    for cache in (of_no_folder, of_a_full_disk):
        cache(Reader(), IDS, MASK)
    with pytest.raises(WritingError, match=r"file.encoder.safetensors: the encoder's vectors are not kept"):
        of_no_folder.save()
    monkeypatch.setattr("seq_modules.nets.pretrained.vector_cache.save_file", full)
    with pytest.raises(WritingError, match=r"are not kept \(I/O error: No space left on device\)"):
        of_a_full_disk.save()
    of_a_full_disk.save()
    assert not list(tmp_path.glob("disk/*.safetensors"))
