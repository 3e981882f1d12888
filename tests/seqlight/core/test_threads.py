"""A small net has one thread, unless the environment says how many; afterwards all is as it was."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from seqlight.core.hardware import one_thread_for_small_nets

SMALL, LARGE = nn.Linear(8, 8), nn.Linear(100, 100)


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("net", "threads"), [(SMALL, 1), (LARGE, 2)])
def test_a_small_net_has_one_thread(net: nn.Module, threads: int) -> None:
    with one_thread_for_small_nets(net):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with one_thread_for_small_nets(SMALL):
        assert torch.get_num_threads() == 2


def test_they_are_given_back_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="lost"), one_thread_for_small_nets(SMALL):
        raise RuntimeError("lost")
    assert torch.get_num_threads() == 2
