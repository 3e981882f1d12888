"""Rows by rank and epoch: nothing lost, nothing twice, the same order for any number of ranks."""

import pytest
import torch
from helpers.toy import Rows

from datamodules.loading.batches import EpochBatches, RankRows, ResumableLoader


def epoch(ranks: int, batch_size: int, size: int = 37, number: int = 0, **kwargs: bool) -> list[list[list[int]]]:
    samplers = [EpochBatches(size, batch_size, seed=5, num_replicas=ranks, rank=r, **kwargs) for r in range(ranks)]
    for sampler in samplers:
        sampler.epoch = number
    return [list(sampler) for sampler in samplers]


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("new_rows", [False, True])
@pytest.mark.parametrize(("ranks", "batch_size"), [(2, 4), (3, 2), (4, 5)])
def test_ranks_share_the_global_batch(ranks: int, batch_size: int, new_rows: bool) -> None:
    (whole,) = epoch(1, ranks * batch_size, new_rows_each_epoch=new_rows)
    shares = epoch(ranks, batch_size, new_rows_each_epoch=new_rows)
    assert len({len(share) for share in shares}) == 1  # as many batches on each rank, or DDP would hang
    for at, rows in enumerate(zip(*shares, strict=True)):
        assert sorted(row for share in rows for row in share) == sorted(whole[at])
        assert all(rows)  # no rank without rows


def test_an_epoch_is_a_permutation_and_epochs_differ() -> None:
    first, second = (flat(epoch(1, 4, number=n)[0]) for n in (0, 1))
    assert sorted(first) == sorted(second) == list(range(37))
    assert first != second
    assert first != sorted(first)
    assert first == flat(epoch(1, 4)[0])


def test_fresh_rows_never_repeat() -> None:
    seen = [row for n in range(3) for batch in epoch(1, 4, number=n, new_rows_each_epoch=True)[0] for row in batch]
    assert seen == list(range(3 * 37))


def test_last_batch_with_fewer_rows_than_ranks_is_left_out() -> None:
    sampler = EpochBatches(9, 2, seed=0, num_replicas=4, rank=3)  # 8 rows, and 1 for four ranks
    assert len(list(sampler)) == len(sampler) == 1


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_evaluation_takes_each_row_once(ranks: int) -> None:
    rows = [row for rank in range(ranks) for row in RankRows(37, ranks, rank)]
    assert sorted(rows) == list(range(37))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 9, 10])
def test_loader_goes_on_at_any_batch(workers: int, done: int) -> None:
    def loader(position: tuple[int, int] | None = None) -> ResumableLoader:
        return ResumableLoader(Rows(37), EpochBatches(37, 4, seed=5), position, num_workers=workers)

    def read(of: ResumableLoader, epochs: int) -> list[list[int]]:
        return [batch["index"].tolist() for _ in range(epochs) for batch in of]

    whole = loader()
    expected = read(whole, 3)
    before = torch.get_rng_state()
    resumed = loader((1, done))
    assert read(resumed, 2 if done < 10 else 1) == expected[10 + done :]
    assert torch.equal(before, torch.get_rng_state())  # iterating draws nothing from the global generator
    assert resumed.state_dict() == whole.state_dict()


def test_any_seed_is_taken() -> None:
    for seed in (10**14, 2**63 - 1):
        assert sorted(row for batch in EpochBatches(10, 3, seed=seed) for row in batch) == list(range(10))
