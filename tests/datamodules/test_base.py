"""The base of the datamodules: positions that survive other settings, groups in the hyperparameters, clear refusals."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from helpers.toy import Rows, ToyData

from datamodules import SequenceDataModule


def read(data: ToyData, batches: int) -> list[int]:
    """The rows of the next batches."""
    loader = iter(data.train_dataloader())
    return [row for _ in range(batches) for row in next(loader)["index"].tolist()]


@pytest.mark.parametrize(("workers", "batch_size"), [(2, 4), (0, 8), (2, 2)])
def test_a_run_resumes_with_other_workers_and_another_batch_size(workers: int, batch_size: int) -> None:
    whole, begun = ToyData(batch_size=4), ToyData(batch_size=4)
    expected = read(whole, 8)
    assert read(begun, 4) == expected[:16]
    resumed = ToyData(batch_size=batch_size, num_workers=workers, seed=None)
    resumed.setup("fit")
    resumed.load_state_dict(begun.state_dict())
    assert read(resumed, 16 // batch_size) == expected[16:]


def test_a_new_fit_starts_anew() -> None:
    data = ToyData()
    first = read(data, 3)
    assert data.state_dict() == {"epoch": 0, "rows": 12, "seed": 0}
    data.setup("fit")
    assert data.state_dict() == {"seed": 0}
    assert read(data, 3) == first


@dataclass(frozen=True)
class Shape:
    width: int = 3


class Grouped(SequenceDataModule):
    def __init__(self, batch_size: int = 4, shape: Shape = Shape()) -> None:
        super().__init__(batch_size)
        self.save_hyperparameters()


def test_hyperparameters_are_plain() -> None:
    assert dict(Grouped(shape=Shape(5)).hparams) == {"batch_size": 4, "shape": {"width": 5}}


def test_the_seed_is_the_runs_own_unless_given() -> None:
    torch.manual_seed(77)
    assert ToyData(seed=None).seed == 77
    assert ToyData(seed=3).seed == 3


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"num_workers": -1}, {"seed": -1}])
def test_arguments_are_checked(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must be at least"):
        ToyData(**wrong)


def test_data_that_is_missing_is_named() -> None:
    data = ToyData()
    data.predict_set = None
    with pytest.raises(ValueError, match=r"^ToyData has no data for this command"):
        data.predict_dataloader()
    data.test_set = Rows(5)
    assert [row for batch in data.test_dataloader() for row in batch["index"].tolist()] == list(range(5))
