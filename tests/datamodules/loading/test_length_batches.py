"""Batches by length: the bound is kept, each row comes once, ranks share the batches, and training resumes anywhere."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers.toy import Rows

from datamodules.loading.batches import ResumableLoader
from datamodules.loading.length_batches import LengthBatches

N = 203
LENGTHS = np.random.default_rng(0).integers(1, 40, (N, 2))
LONGEST = LENGTHS.max(1)


def batches(ranks: int = 1, rank: int = 0, lengths: np.ndarray = LENGTHS, **kwargs: Any) -> LengthBatches:
    settings = {"seed": 5, "batch_size": 16, "batch_tokens": 400 // ranks} | kwargs
    return LengthBatches(lengths, num_replicas=ranks, rank=rank, **settings)


def epoch(of: LengthBatches, number: int = 0) -> list[list[int]]:
    of.epoch = number
    return list(of)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("per_rank", [40, 64, 333, 5000])
@pytest.mark.parametrize("size", [203, 200, 17])
def test_the_bound_is_kept_and_each_row_comes_once(ranks: int, per_rank: int, size: int) -> None:
    lengths = LENGTHS[:size]
    shares = [epoch(batches(ranks, rank, lengths, batch_tokens=per_rank)) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1  # as many batches on each rank, or DDP would hang
    for share in shares:
        for rows in share:
            assert len(rows) >= 1
            assert len(rows) * lengths[rows].max() <= per_rank
    seen = sorted(row for share in shares for rows in share for row in rows)
    assert len(set(seen)) == len(seen)
    # With room for two of the shortest rows, none is left out.
    left_out = size - len(seen)
    assert left_out < ranks
    if per_rank >= 64 and size >= 2 * ranks:
        assert left_out == 0


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_share_the_batches_of_one_process(ranks: int) -> None:
    whole = epoch(batches(batch_tokens=800), 3)
    shares = [epoch(batches(ranks, rank, batch_tokens=800 // ranks), 3) for rank in range(ranks)]
    assert len(whole) == len(shares[0])
    for at, parts in enumerate(zip(*shares, strict=True)):
        assert sorted(row for part in parts for row in part) == sorted(whole[at])


def test_epochs_differ_in_order_and_in_company_but_not_in_number() -> None:
    many = np.repeat(LENGTHS, 20, axis=0)
    first, second, again = (epoch(batches(lengths=many), number) for number in (0, 1, 0))
    assert first == again
    assert len(first) == len(second)
    companies = [{frozenset(rows) for rows in one} for one in (first, second)]
    assert companies[0] != companies[1]
    assert first != epoch(batches(lengths=many, seed=6))
    means = [many[rows].mean() for rows in first]
    assert not (np.diff(means) <= 0).all()  # the batches are shuffled


def test_little_of_a_batch_is_padding() -> None:
    def filled(parts: list[list[int]]) -> float:
        return LENGTHS.sum() / sum(2 * len(rows) * LONGEST[rows].max() for rows in parts)

    best = LENGTHS.sum() / (2 * LONGEST.sum())  # each row by itself, its shorter side padded to the longer
    assert filled(epoch(batches())) > 0.9 * best
    shuffled = np.random.default_rng(0).permutation(N)
    assert filled([shuffled[at : at + 16].tolist() for at in range(0, N, 16)]) < 0.8 * best


def test_by_rows_every_batch_but_the_last_has_as_many() -> None:
    of = batches(batch_tokens=None)
    sizes = sorted(len(rows) for rows in epoch(of))
    assert sizes == [11, *[16] * 12]
    shares = [epoch(batches(2, rank, batch_size=8, batch_tokens=None)) for rank in range(2)]
    assert [sorted(one + two) for one, two in zip(*shares, strict=True)] == [sorted(rows) for rows in epoch(of)]


def test_a_row_longer_than_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^batch_tokens 38 is less than the 39 tokens"):
        batches(batch_tokens=38)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 7, -1])
def test_loader_goes_on_at_any_batch(done: int, workers: int) -> None:
    def read(of: ResumableLoader, epochs: int) -> list[list[int]]:
        return [batch["index"].tolist() for _ in range(epochs) for batch in of]

    whole = ResumableLoader(Rows(N), batches())
    expected, length = read(whole, 3), len(batches())
    done %= length + 1
    before = torch.get_rng_state()
    resumed = ResumableLoader(Rows(N), batches(), (1, done), num_workers=workers)
    assert read(resumed, 2 if done < length else 1) == expected[length + done :]
    assert torch.equal(before, torch.get_rng_state())


def test_a_position_in_rows_is_the_same_batch_again() -> None:
    of = batches()
    parts = epoch(of, 2)
    for done in range(len(of) + 1):
        rows = of.rows_before(2, done)
        assert rows == sum(map(len, parts[:done]))
        assert of.batch_after(2, rows) == done
    two = batches(2, 0)  # half the bound each: the same position with another number of ranks
    assert [two.rows_before(2, done) for done in range(len(two))] == [
        of.rows_before(2, done) for done in range(len(of))
    ]
