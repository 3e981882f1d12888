"""Parity data: sets that are fixed and apart, and made by workers as by the process itself."""

import pytest
import torch

from datamodules import ParityDataModule
from seqlight.core.errors import UserError


def test_sets_are_fixed_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    first = ParityDataModule(min_length=40, val_size=50, test_size=50, test_min_length=41, test_max_length=41)
    torch.manual_seed(2)
    second = ParityDataModule(min_length=40, val_size=50, test_size=50, test_min_length=41, test_max_length=41)
    assert (first.seed, second.seed) == (1, 2)

    def rows(data: object) -> torch.Tensor:
        return data.__getitems__(range(50))["input_ids"][:, :40]  # type: ignore[attr-defined]

    assert torch.equal(rows(first.val_set), rows(second.val_set))
    assert torch.equal(rows(first.test_set), rows(second.test_set))
    assert not torch.equal(rows(first.train_set), rows(second.train_set))
    strings = {tuple(row.tolist()) for data in (first.train_set, first.val_set, first.test_set) for row in rows(data)}
    assert len(strings) == 150  # 40 random bits: equal rows would be one set's rows in another


def test_workers_and_the_process_itself_make_the_same_batches() -> None:
    def batches(workers: int) -> list[torch.Tensor]:
        data = ParityDataModule(batch_size=8, train_size=40, num_workers=workers, seed=4)
        loader = data.train_dataloader()
        return [batch["input_ids"] for _ in range(2) for batch in loader]

    assert all(torch.equal(a, b) for a, b in zip(batches(0), batches(2), strict=True))


def test_only_training_strings_have_any_density() -> None:
    data = ParityDataModule(density="any")
    assert (data.train_set.density, data.val_set.density, data.test_set.density) == ("any", "half", "half")
    with pytest.raises(UserError, match=r"^density must be one of 'half', 'any', not 'some'"):
        ParityDataModule(density="some")  # type: ignore[arg-type]
