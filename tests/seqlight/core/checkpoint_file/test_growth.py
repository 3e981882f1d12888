"""A model that outgrows its checkpoint is refused before it takes time or memory; so is one that finds none."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from seqlight.core.checkpoint_file.growth import bounded_by, within_memory
from seqlight.core.errors import UserError


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(4, 4, num_layers=10**9),
        lambda: nn.Linear(10**5, 10**5),
        lambda: nn.Linear(10**9, 10**9),
        lambda: nn.Linear(10**12, 10**12),
        lambda: nn.ModuleList(nn.Identity() for _ in range(10**9)),
    ],
)
def test_absurd_sizes(make: Callable[[], nn.Module]) -> None:
    with (
        pytest.raises(
            UserError, match=r"far larger than the checkpoint, which has 6 weig|more memory than this machine"
        ),
        bounded_by({"a": torch.ones(2, 3)}, "a.ckpt"),
    ):
        make()
    nn.Linear(2**13, 2**12)  # the bound has gone


def test_a_somewhat_larger_model_is_left_to_the_comparison_of_shapes() -> None:
    with bounded_by({"a": torch.ones(2, 3)}, "a.ckpt"):
        nn.Linear(1000, 1000)


def test_other_errors_stay_themselves() -> None:
    with pytest.raises(RuntimeError, match="shapes"), within_memory():
        raise RuntimeError("shapes")


def test_more_than_the_machine_has() -> None:
    with pytest.raises(UserError, match="more memory than this machine has"), within_memory():
        nn.Linear(10**7, 10**7)
