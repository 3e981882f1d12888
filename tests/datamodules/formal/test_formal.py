"""Formal tasks: labels against their definitions in plain Python, and rows that depend on their number alone."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from datamodules import FormalLanguageDataModule
from datamodules.formal.strings import GivenStrings, RandomStrings
from datamodules.formal.tasks import TASKS, Recognition, Transduction
from seqlight.core.labels import IGNORED

#: What is asked of a whole string, as Delétang et al. (2023) define it.
DEFINITIONS: dict[str, Callable[[str], int]] = {
    "parity": lambda text: text.count("1") % 2,
    "even_pairs": lambda text: sum(a != b for a, b in itertools.pairwise(text)) % 2,
    "modular_arithmetic": lambda text: eval(text) % 5,
    "cycle_navigation": lambda text: (text.count("+") - text.count("-")) % 5,
    "count_modulo_3": lambda text: text.count("1") % 3,
    "recall": lambda text: int(text[0]),
}
WRITTEN: dict[str, Callable[[str], str]] = {
    "bucket_sort": lambda text: "".join(sorted(text)),
    "reverse": lambda text: text[::-1],
}


def rows(name: Any, count: int = 48, longest: int = 40, seed: int = 3) -> dict[str, torch.Tensor]:
    return RandomStrings(TASKS[name], 1, 1, longest, seed).__getitems__(range(count))


@pytest.mark.parametrize("name", DEFINITIONS)
def test_answers_are_right_after_every_symbol(name: Any) -> None:
    batch, task = rows(name), TASKS[name]
    lengths = batch["attention_mask"].sum(1).tolist()
    assert min(lengths) < 5 < 35 < max(lengths)
    for ids, labels, length in zip(batch["input_ids"], batch["labels"].tolist(), lengths, strict=True):
        text = "".join(task.alphabet[i] for i in ids[:length])
        assert (length - 1) % len(task.places) == 0
        for t in range(length):
            if name == "modular_arithmetic" and t % 2:
                assert labels[t] == IGNORED
            else:
                assert labels[t] == DEFINITIONS[name](text[: t + 1])
        assert set(labels[length:]) <= {IGNORED}
        assert ids[length:].eq(0).all()


@pytest.mark.parametrize("name", WRITTEN)
def test_strings_are_written_after_the_string_at_blanks(name: Any) -> None:
    batch, task = rows(name), TASKS[name]
    for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
        half = int(mask.sum()) // 2
        text = "".join(task.alphabet[i] for i in ids[:half])
        assert ids[half : 2 * half].eq(task.vocab_size - 1).all()
        assert labels[:half].eq(IGNORED).all()
        assert labels[2 * half :].eq(IGNORED).all()
        assert "".join(task.alphabet[i] for i in labels[half : 2 * half]) == WRITTEN[name](text)


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("even_pairs", "001110", 0),  # the examples of Delétang et al.'s code
        ("even_pairs", "0101001", 1),
        ("modular_arithmetic", "1+2*3", 2),
        ("modular_arithmetic", "1-1-1", 4),
        ("modular_arithmetic", "0*1+4*3-2", 0),
        ("cycle_navigation", "+-0--", 3),
        ("cycle_navigation", "+++-", 2),
        ("count_modulo_3", "1101011", 2),
    ],
)
def test_published_examples(name: Any, text: str, answer: int) -> None:
    assert GivenStrings(TASKS[name], [text]).__getitems__([0])["labels"][0, -1] == answer


def test_automata_have_no_more_states_than_they_need() -> None:
    states = {name: len(task.automaton.answers) for name, task in TASKS.items() if isinstance(task, Recognition)}
    # Arithmetic: 25 after a number, 5 after each of + and -, 25 after *, and the start, which is that of "0 +".
    assert states == {
        "parity": 2, "even_pairs": 5, "modular_arithmetic": 60, "cycle_navigation": 5, "count_modulo_3": 3,
        "recall": 5,
    }  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_a_row_is_the_same_in_any_batch_and_with_any_limit(name: Any) -> None:
    data = RandomStrings(TASKS[name], 64, 5, 5, seed=1)
    whole = data.__getitems__(range(64))
    picked = random.Random(0).sample(range(64), 10)
    for key in ("input_ids", "labels"):
        assert torch.equal(data.__getitems__(picked)[key], whole[key][picked])
    longer = RandomStrings(TASKS[name], 64, 201, 201, seed=1).__getitems__(range(64))["input_ids"]
    assert torch.equal(longer[:, :5], whole["input_ids"][:, :5])  # a longer string begins with the shorter one
    assert not torch.equal(
        RandomStrings(TASKS[name], 64, 5, 5, seed=2).__getitems__(range(64))["input_ids"], whole["input_ids"]
    )


@pytest.mark.parametrize("name", TASKS)
def test_symbols_are_fair(name: Any) -> None:
    task = TASKS[name]
    ids = RandomStrings(task, 1, 15, 15, seed=0).__getitems__(range(2000))["input_ids"][:, :15]
    for place in range(3):
        allowed = task.places[place % len(task.places)]
        counts = Counter(ids[:, place].tolist())
        assert set(counts) == {task.alphabet.index(symbol) for symbol in allowed}
        expected = 2000 / len(allowed)
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_given_strings_are_checked() -> None:
    for name, wrong in (
        ("even_pairs", "012"),
        ("modular_arithmetic", "1+"),
        ("modular_arithmetic", "11"),
        ("reverse", ""),
    ):
        with pytest.raises(ValueError, match=r"data\.strings: string 1 is"):
            GivenStrings(TASKS[name], [wrong])  # type: ignore[index]
    with pytest.raises(ValueError, match="the list is empty"):
        GivenStrings(TASKS["parity"], [])


def test_the_datamodule_knows_the_sizes_and_keeps_its_sets_apart() -> None:
    data = FormalLanguageDataModule("bucket_sort", min_length=20, max_length=20, val_size=9, test_size=9, seed=0)
    assert (data.vocab_size, data.num_classes) == (6, 5)
    assert isinstance(data.task, Transduction)
    data.setup("fit")
    batches = [next(iter(loader))["input_ids"][:9, :20] for loader in (data.train_dataloader(), data.val_dataloader())]
    batches.append(data.sequences(20, 9)["input_ids"][:, :20])
    strings = {tuple(row.tolist()) for batch in batches for row in batch}
    assert len(strings) == 27
    data.train_max_length = 30
    assert data.train_set.max_length == 30
    with pytest.raises(ValueError, match="task must be one of 'parity', 'even_pairs'"):
        FormalLanguageDataModule("odd_pairs")  # type: ignore[arg-type]
