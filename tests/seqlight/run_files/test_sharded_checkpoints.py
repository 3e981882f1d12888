"""A checkpoint in parts: made one file, and never executed."""

import pickle
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import FileSystemWriter, save

from seqlight.core.errors import UserError
from seqlight.run_files.sharded_checkpoints import INDEX, REST, is_sharded, read_parts, whole

STATE = {
    "state_dict": {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2, dtype=torch.bfloat16)},
    "optimizer_0": {
        "state": {"a.bias": {"step": torch.tensor(3.0)}, "a.weight": {"step": torch.tensor(4.0)}},
        "param_groups": [{"lr": 0.1, "params": ["a.weight"]}, {"lr": 0.2, "params": ["a.bias"], "betas": (0.9, 0.99)}],
    },
}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("evil"),))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return written(tmp_path / "last.ckpt", STATE)


def written(folder: Path, state: dict[str, Any]) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        save(state, storage_writer=FileSystemWriter(folder), no_dist=True)
    torch.save({"epoch": 3, "pytorch-lightning_version": "2.6.6"}, folder / REST)
    return folder


def test_parts_become_one_file(folder: Path) -> None:
    assert is_sharded(folder)
    file = whole(folder)
    assert file == folder.with_name("last-whole.ckpt")
    content = torch.load(file, weights_only=True)
    assert content.keys() == {"state_dict", "optimizer_states", "epoch", "pytorch-lightning_version"}
    assert content["epoch"] == 3
    for name, value in STATE["state_dict"].items():
        assert torch.equal(content["state_dict"][name], value)
        assert content["state_dict"][name].dtype == value.dtype
    (optimizer,) = content["optimizer_states"]
    assert [group["params"] for group in optimizer["param_groups"]] == [[0], [1]]
    assert optimizer["param_groups"][1]["lr"] == 0.2
    assert tuple(optimizer["param_groups"][1]["betas"]) == (0.9, 0.99)
    assert {number: float(own["step"]) for number, own in optimizer["state"].items()} == {0: 4.0, 1: 3.0}


def test_a_file_is_made_once_and_anew_when_the_parts_are_newer(folder: Path) -> None:
    made = whole(folder).stat().st_mtime_ns
    assert whole(folder).stat().st_mtime_ns == made
    (folder / INDEX).touch()
    assert whole(folder).stat().st_mtime_ns > made
    assert whole(whole(folder)) == whole(folder)


@pytest.mark.parametrize("place", ["index", "value", "rest"])
def test_nothing_is_executed(folder: Path, place: str) -> None:
    if place == "index":
        (folder / INDEX).write_bytes(pickle.dumps(Evil()))
    elif place == "rest":
        (folder / REST).write_bytes(pickle.dumps(Evil(), protocol=2))  # torch warns of others
    else:
        shutil.rmtree(folder)
        written(folder, {**STATE, "state_dict": {**STATE["state_dict"], "object": Evil()}})
    Path("evil").unlink(missing_ok=True)
    with pytest.raises(
        UserError, match=r"last\.ckpt(/meta\.pt)?: (holds Python objects|not a checkpoint, or|a damaged checkpoint)"
    ):
        read_parts(folder)
    assert not Path("evil").exists()


def test_damaged_parts(folder: Path) -> None:
    (folder / "__0_0.distcp").unlink()
    with pytest.raises(UserError, match="a damaged checkpoint"):
        whole(folder)
    assert not list(folder.parent.glob("*whole*"))
