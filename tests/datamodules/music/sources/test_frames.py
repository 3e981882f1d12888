"""Chorales as frames: what a file may hold, and those made up by rule."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.music.sources.jsb_files import SCALE, Chorale, made_up_chorales, packed, read_frames, unpacked

GOOD = {"train": [[[60, 64], []]], "valid": [[[48]]], "test": [[[72, 60]], [[1]]]}


def write(path: Path, content: Any) -> Path:
    file = path / "chorales.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_file_is_read_with_its_splits_and_pitches_rise(tmp_path: Path) -> None:
    splits = read_frames(write(tmp_path, GOOD))
    assert [c.frames for c in splits["train"]] == [((60, 64), ())]
    assert [(c.name, c.frames) for c in splits["test"]] == [("test 0", ((60, 72),)), ("test 1", ((1,),))]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ([1], "not an object with the lists"),
        ({**GOOD, "test": 3}, "not an object with the lists"),
        ({**GOOD, "valid": []}, "valid holds no piece"),
        ({**GOOD, "valid": [[]]}, "valid 0 is not a list of 1 to"),
        ({**GOOD, "train": [[[60], 60]]}, "train 0, frame 1 is not a list"),
        ({**GOOD, "train": [[[60.5]]]}, "frame 0 is not a list of whole numbers"),
        ({**GOOD, "train": [[[True]]]}, "frame 0 is not a list of whole numbers"),
        ({**GOOD, "train": [[[128]]]}, "pitch outside"),
        ({**GOOD, "train": [[[60, 60]]]}, "pitch twice"),
    ],
)
def test_what_is_no_file_of_chorales_is_refused_by_name(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^path .*chorales.json: .*{reason}"):
        read_frames(write(tmp_path, content))


def test_no_file_and_a_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path .*no such file"):
        read_frames(tmp_path / "none.json")
    monkeypatch.setattr("datamodules.music.sources.jsb_files.FILE_LIMIT", 10)
    with pytest.raises(ValueError, match=r"^path .*bytes are more than 10"):
        read_frames(write(tmp_path, GOOD))


def test_made_up_chorales_are_triads_of_a_key_and_depend_on_seed_and_number() -> None:
    pieces = made_up_chorales(16, seed=3)
    assert made_up_chorales(4, seed=3) == pieces[:4]
    assert made_up_chorales(4, seed=4) != pieces[:4]
    for piece in pieces:
        classes = {pitch % 12 for frame in piece.frames for pitch in frame}
        assert any(classes <= {(key + step) % 12 for step in SCALE} for key in range(12))
        for frame in piece.frames:
            assert list(frame) == sorted(set(frame))
            assert 1 <= len(frame) <= 4
            assert len({pitch % 12 for pitch in frame}) <= 3


def test_every_fourth_made_up_piece_sets_an_earlier_tune_in_some_key() -> None:
    pieces = made_up_chorales(16, seed=0)
    for number in (3, 7, 11, 15):
        up = pieces[number].frames[0][-1] - pieces[number // 4].frames[0][-1]
        moved = tuple(tuple(pitch + up for pitch in frame) for frame in pieces[number // 4].frames)
        assert pieces[number].frames == moved


def test_packed_chorales_come_back() -> None:
    pieces = [*made_up_chorales(3, 0), Chorale("odd", ((), (0,), (60, 64, 67, 72, 127), ()))]
    content = packed(pieces)
    assert [piece.frames for piece in unpacked(content)] == [piece.frames for piece in pieces]
    assert content["frames"].nbytes == 5 * sum(len(piece.frames) for piece in pieces)
    for change in (
        {"lengths": [1]}, {"lengths": [0, *content["lengths"]]}, {"lengths": 3}, {"frames": content["frames"].long()},
        {"frames": content["frames"].flatten()}, {"frames": content["frames"] + 100}, {"frames": None},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="chorales are damaged"):
            unpacked({**content, **change})
    with pytest.raises(ValueError, match="chorales are damaged"):
        unpacked(torch.zeros(3))
