"""Strings: each task is done as Python does it, the test has longer ones, batches are as every system expects."""

import pytest
import torch

from datamodules import StringsDataModule
from seqlight.core.labels import BOS, EOS, IGNORED, PAD


@pytest.mark.parametrize("task", ["copy", "reverse", "sort"])
def test_the_target_is_the_task_done(task: str) -> None:
    data = StringsDataModule(task, seed=1)  # type: ignore[arg-type]
    done = {
        "copy": lambda text: text,
        "reverse": lambda text: "".join(reversed(text)),
        "sort": lambda t: "".join(sorted(t)),
    }
    for made, low, high in ((data.train_set, 1, 20), (data.val_set, 1, 20), (data.test_set, 1, 40)):
        pairs = made.pairs(range(2000))
        assert all(target == done[task](source) for source, target in pairs)
        lengths = {len(source) for source, _ in pairs}
        assert (min(lengths), max(lengths)) == (low, high)
        assert len(lengths) == high - low + 1
        assert set("".join(source for source, _ in pairs)) == set("abcdefghijklmnopqrstuvwxyz")


def test_a_batch_is_padded_masked_and_shifted() -> None:
    data = StringsDataModule("reverse", letters="ab", min_length=1, max_length=3, seed=1)
    pairs = data.val_set.pairs(range(12))
    batch = data.val_set.__getitems__(range(12))
    assert batch["sources"] == [source for source, _ in pairs]
    assert batch["references"] == [target for _, target in pairs]
    assert batch["index"].tolist() == list(range(12))
    ids = {"a": 4, "b": 5}
    longest = max(len(source) for source, _ in pairs) + 1
    assert batch["source_ids"].shape == batch["target_ids"].shape == batch["labels"].shape == (12, longest)
    for row, (source, target) in enumerate(pairs):
        left = longest - len(source) - 1
        written = [ids[letter] for letter in target]
        assert batch["source_ids"][row].tolist() == [*(ids[letter] for letter in source), EOS, *[PAD] * left]
        assert batch["source_mask"][row].tolist() == [True] * (len(source) + 1) + [False] * left
        assert batch["target_ids"][row].tolist() == [BOS, *written, *[PAD] * left]
        assert batch["labels"][row].tolist() == [*written, EOS, *[IGNORED] * left]
    assert batch["source_ids"].dtype == batch["target_ids"].dtype == batch["labels"].dtype == torch.long
    assert batch["source_mask"].dtype == torch.bool
    assert "sources" not in data.train_set.__getitems__([0])


def test_rows_depend_on_number_and_seed_alone() -> None:
    data = StringsDataModule(seed=1, min_length=30, max_length=30)
    rows = data.train_set.pairs(range(100))
    assert data.train_set.pairs([99, 3]) == [rows[99], rows[3]]
    other = StringsDataModule(seed=2, min_length=30, max_length=30)
    assert not set(other.train_set.pairs(range(100))) & set(rows)
    assert not set(data.val_set.pairs(range(100))) & set(rows)
    assert other.val_set.pairs(range(100)) == data.val_set.pairs(range(100))


def test_wrong_values_are_refused_by_name() -> None:
    for wrong, message in (
        ({"task": "double"}, "^task must be one of"),
        ({"letters": "aaa"}, "^letters 'aaa' must have two"),
        ({"max_length": 0}, "^max_length must be at least 1"),
        ({"test_min_length": 4, "test_max_length": 3}, "^test_max_length must be at least 4"),
        ({"train_size": 0}, "^train_size must be at least 1"),
        ({"texts": []}, "^texts is empty"),
        ({"texts": ["a"], "texts_path": "a.txt"}, "^texts_path a.txt and texts are both given"),
    ):
        with pytest.raises(ValueError, match=message):
            StringsDataModule(**wrong)  # type: ignore[arg-type]
