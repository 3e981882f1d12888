"""Rows of like length together: every row once, the same for any ranks, from any batch on, and little padding."""

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import QuestionsDataModule
from datamodules.classification.examples import stratified_folds, stratified_sample
from datamodules.loading.batches import EpochBatches, ResumableLoader
from datamodules.loading.buckets import Buckets, even_order
from datamodules.loading.token_rows import BucketedRows, TokenRows

N = 203
LENGTHS = np.random.default_rng(0).integers(1, 40, N)


def rows() -> TokenRows:
    ids = [np.full(length, 1 + number, dtype=np.int32) for number, length in enumerate(LENGTHS)]
    return TokenRows(ids, np.arange(N) % 3, np.arange(N) % 5, pad_id=0)


def loader(ranks: int = 1, rank: int = 0, batch_size: int = 8, position: Any = None, workers: int = 0) -> Any:
    train = BucketedRows(rows(), seed=3, batch_rows=batch_size * ranks, pool_batches=4)
    batches = EpochBatches(N, batch_size, seed=3, new_rows_each_epoch=True, num_replicas=ranks, rank=rank)
    return ResumableLoader(train, batches, position, num_workers=workers)


def numbers(epoch: Any) -> list[list[int]]:
    return [batch["index"].tolist() for batch in epoch]


def flat(epoch: list[list[int]]) -> list[int]:
    return [row for batch in epoch for row in batch]


def test_an_epoch_has_every_row_once_and_epochs_differ() -> None:
    of = loader()
    first, second = numbers(of), numbers(of)
    assert sorted(flat(first)) == sorted(flat(second)) == list(range(N))
    assert first != second
    assert numbers(loader()) == first
    order = Buckets(LENGTHS, 8, 4)
    assert not np.array_equal(order.order(3, 0), order.order(4, 0))  # another seed


def test_rows_of_a_batch_are_of_like_length_but_batches_come_in_any_order() -> None:
    order = Buckets(LENGTHS, 8, 10**6).order(0, 0)
    full = LENGTHS[order[: N // 8 * 8]].reshape(-1, 8)
    assert np.ptp(full, axis=1).max() <= 4  # 25 batches of lengths 1 to 39: sorted, neighbours differ by 2 or so
    means = full.mean(1)
    assert not (np.diff(means) >= 0).all()
    assert not (np.diff(means) <= 0).all()
    plain = LENGTHS[Buckets(LENGTHS, 8, 1).order(0, 0)[: N // 8 * 8]].reshape(-1, 8)
    assert np.ptp(plain, axis=1).mean() > 20


@pytest.mark.parametrize(("ranks", "batch_size"), [(2, 4), (4, 2)])
def test_ranks_share_the_batches_that_one_process_sees(ranks: int, batch_size: int) -> None:
    whole = numbers(loader(batch_size=ranks * batch_size))
    shares = [numbers(loader(ranks, rank, batch_size)) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    for at, parts in enumerate(zip(*shares, strict=True)):
        assert sorted(row for part in parts for row in part) == sorted(whole[at])
        assert all(parts)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 13, 25, 26])
def test_training_goes_on_at_any_batch(done: int, workers: int) -> None:
    whole = loader()
    expected = numbers(whole) + numbers(whole)
    before = torch.get_rng_state()
    resumed = loader(position=(0, done), workers=workers)
    got = numbers(resumed) + (numbers(resumed) if done < 26 else [])
    assert got == expected[done:]
    assert torch.equal(before, torch.get_rng_state())


def test_a_batch_is_padded_on_the_right_to_its_longest_row() -> None:
    batch = rows().batch(np.array([5, 0, 9]))
    lengths = LENGTHS[[5, 0, 9]]
    assert batch["input_ids"].shape == (3, lengths.max())
    assert batch["attention_mask"].dtype == torch.long
    assert batch["attention_mask"].sum(1).tolist() == lengths.tolist()
    for row, (number, length) in enumerate(zip([5, 0, 9], lengths, strict=True)):
        assert batch["input_ids"][row].tolist() == [1 + number] * length + [0] * (lengths.max() - length)
    assert batch["labels"].tolist() == [2, 0, 0]
    assert batch["aux_labels"].tolist() == [0, 0, 4]


def test_evaluation_has_every_row_once_in_batches_of_like_length() -> None:
    order = even_order(LENGTHS, 8)
    assert sorted(order) == list(range(N))
    full = LENGTHS[order[: N // 8 * 8]].reshape(-1, 8)
    assert np.ptp(full, axis=1).max() <= 4
    assert np.ptp(full[:6].mean(1)) > 10  # the first batches alone are no sample of long rows


def data(tmp_path: Path, **kwargs: Any) -> QuestionsDataModule:
    return QuestionsDataModule(cache_dir=str(tmp_path), **{"seed": 1, "vocab_size": 300} | kwargs)


def test_the_datamodule_goes_on_with_the_checkpoints_seed(tmp_path: Path) -> None:
    whole = data(tmp_path)
    whole.setup("fit")
    expected = numbers(whole.train_dataloader())
    stopped = data(tmp_path)
    stopped.setup("fit")
    iterator = iter(stopped.train_dataloader())
    for _ in range(5):
        next(iterator)
    torch.manual_seed(77)
    resumed = data(tmp_path, seed=None)  # a seed of its own, until the state brings the run's
    resumed.setup("fit")
    resumed.load_state_dict(stopped.state_dict())
    assert numbers(resumed.train_dataloader()) == expected[5:]


def test_validation_does_not_depend_on_the_seed(tmp_path: Path) -> None:
    first, second = data(tmp_path, seed=1), data(tmp_path, seed=2)
    for one in (first, second):
        one.setup("fit")
    assert numbers(first.val_dataloader()) == numbers(second.val_dataloader())
    assert first.splits["val"].texts == second.splits["val"].texts
    assert numbers(first.train_dataloader()) != numbers(second.train_dataloader())


def test_predictions_under_two_ranks_take_each_row_once(tmp_path: Path) -> None:
    seen = []
    for rank in range(2):
        one = data(tmp_path, batch_size=2)
        one.trainer = types.SimpleNamespace(world_size=2, global_rank=rank)  # type: ignore[assignment]
        one.setup("predict")
        seen += flat(numbers(one.predict_dataloader()))
    assert sorted(seen) == list(range(len(QuestionsDataModule.EXAMPLES)))


def test_a_stratified_sample_has_the_fraction_of_each_class() -> None:
    strata = np.repeat(np.arange(5), [3, 40, 500, 77, 380])
    chosen = stratified_sample(strata, 0.1, seed=0)
    assert chosen.sum() == 100
    counts = np.bincount(strata[chosen], minlength=5)
    assert np.abs(counts - 0.1 * np.bincount(strata)).max() < 1
    assert not np.array_equal(chosen, stratified_sample(strata, 0.1, seed=1))
    assert np.array_equal(chosen, stratified_sample(strata, 0.1, seed=0))
    shuffled = np.random.default_rng(0).permutation(strata)  # classes that do not lie side by side
    counts = np.bincount(shuffled[stratified_sample(shuffled, 0.1, seed=0)], minlength=5)
    assert np.abs(counts - 0.1 * np.bincount(strata)).max() < 1


def test_stratified_folds_differ_by_one_row_at_most() -> None:
    strata = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [13, 50, 44]))
    folds = stratified_folds(strata, 10, seed=0)
    assert np.ptp(np.bincount(folds)) <= 1
    for stratum in range(3):
        assert np.ptp(np.bincount(folds[strata == stratum], minlength=10)) <= 1
    assert not np.array_equal(folds, stratified_folds(strata, 10, seed=1))
