"""A checkpoint's file is refused before anything in it is built: objects, sizes, loops."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.hostile.checkpoints import PICKLES, replaced_pickle

from seqlight.core.checkpoint_file.outline import DAMAGED, UnsafeFileError, check_outline
from seqlight.core.checkpoint_file.reading import read_file, read_plain
from seqlight.core.checkpoint_file.tree import TreeError, check_tree
from seqlight.core.errors import UserError


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_what_checkpoints_hold_is_taken(tmp_path: Path) -> None:
    shared = torch.arange(12.0)
    content = {
        "tensors": [shared.view(3, 4), shared[2:5], torch.zeros(()), torch.zeros(0), torch.ones(3, 4).t(), True],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "bytes": b"a\xff",
        "types": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.bool, torch.complex64, torch.int16)],
        "words": {"a": (1, 2.5, None, "é"), 3: 10**30},
    }
    found = read_plain(saved(tmp_path / "a.ckpt", content))
    assert found["bytes"] == b"a\xff"
    assert torch.equal(found["tensors"][1], shared[2:5])


@pytest.mark.parametrize("name", sorted(PICKLES))
def test_pickles_of_other_things(tmp_path: Path, name: str) -> None:
    whole = saved(tmp_path / "a.ckpt", {"a": torch.ones(1)}).read_bytes()
    path = tmp_path / "b.ckpt"
    path.write_bytes(replaced_pickle(whole, PICKLES[name]))
    if name != "memo":  # an empty list, whose number is large; only readers in C make room for so many
        with pytest.raises((UnsafeFileError, *DAMAGED)):
            check_outline(path)
    with pytest.raises(UserError, match=r"b\.ckpt: "):
        read_file(path)


def test_a_tensor_that_is_larger_than_its_data(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.ckpt", {"a": torch.zeros(1).expand(2**40)})
    with pytest.raises(UserError, match=r"a\.ckpt: has a tensor \(1099511627776,\) that is larger than its data"):
        read_plain(path)


def test_loops_and_doubling(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append({"a": loop})
    double: Any = [0]
    deep: Any = 0
    for _ in range(70):
        double, deep = [double, double], [deep]
    for value, said in (
        (loop, "holds itself"),
        (double, "more than 1,000,000 values|nested"),
        (deep, "nested more than"),
    ):
        with pytest.raises(UserError, match=said):
            read_plain(saved(tmp_path / "a.ckpt", {"a": value}))
    check_tree([[1, 2], {"a": (3,)}], most=6)
    with pytest.raises(TreeError, match="more than 5 values"):
        check_tree([[1, 2], {"a": (3,)}], most=5)
