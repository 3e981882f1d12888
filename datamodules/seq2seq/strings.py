"""Random strings to copy, to reverse or to sort: what an attention can do and one vector between two nets cannot."""

from functools import cached_property
from typing import Any, Literal

import numpy as np

from datamodules.loading.counter_rng import random_uint64
from datamodules.seq2seq.base import Seq2SeqDataModule
from datamodules.seq2seq.generated import GeneratedPairs, Pair
from datamodules.tokenizers import CharTokenizer, TokenizerPair
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Task = Literal["copy", "reverse", "sort"]


def solve(task: Task, text: str) -> str:
    """What a task makes of a string."""
    if task == "copy":
        return text
    return text[::-1] if task == "reverse" else "".join(sorted(text))


class RandomStrings:
    """Makes strings from row numbers, with what a task makes of them.

    Args:
        task: What is to be done.
        letters: The letters, all equally likely.
        min_length: Shortest length.
        max_length: Longest length; lengths are uniform between the two, both included.
    """

    def __init__(self, task: Task, letters: str, min_length: int, max_length: int) -> None:
        self.task, self.letters, self.min_length, self.max_length = task, letters, min_length, max_length

    def __call__(self, seed: int, rows: np.ndarray) -> list[Pair]:
        """Source and target of each row."""
        words = (random_uint64(seed, rows, 1 + self.max_length) >> np.uint64(32)).astype(np.int64)  # of 32 bits
        lengths = self.min_length + (words[:, 0] * (self.max_length - self.min_length + 1) >> 32)
        letters = np.array(list(self.letters))[words[:, 1:] * len(self.letters) >> 32]
        texts = ["".join(row[:length]) for row, length in zip(letters, lengths, strict=True)]
        return [(text, solve(self.task, text)) for text in texts]


class StringsDataModule(Seq2SeqDataModule):
    """Random strings with their copy, their reverse, or their letters sorted; one id a letter.

    The strings are generated row by row without end. The test has all lengths of training and longer ones.

    Args:
        task: What is to be done with a string.
        letters: The letters that strings are made of.
        min_length: Shortest length in training and validation.
        max_length: Longest length in training and validation.
        test_min_length: Shortest length in the test set.
        test_max_length: Longest length in the test set.
        batch_size: Strings in a batch of one process.
        train_size: Strings in an epoch of training.
        val_size: Strings in the validation set.
        test_size: Strings in the test set.
        shared: Further arguments of Seq2SeqDataModule.

    Raises:
        UserError: A value is out of its range.
    """

    new_rows_each_epoch = True
    VAL_SEED, TEST_SEED = 2**40 + 8, 2**40 + 9  # beyond any seed of a run
    EXAMPLES = ("a", "reverse", "attention", "encoderdecoder")

    def __init__(
        self,
        task: Task = "reverse",
        letters: str = "abcdefghijklmnopqrstuvwxyz",
        min_length: int = 1,
        max_length: int = 20,
        test_min_length: int = 1,
        test_max_length: int = 40,
        batch_size: int = 128,
        train_size: int = 25_600,
        val_size: int = 1_000,
        test_size: int = 2_000,
        **shared: Any,
    ) -> None:
        super().__init__(batch_size, **shared)
        self.save_hyperparameters()
        check_choice("task", task, Task)
        for name, low, high in (("", min_length, max_length), ("test_", test_min_length, test_max_length)):
            check_range(f"{name}min_length", low, least=1)
            check_range(f"{name}max_length", high, least=low)
        for name, size in (("train_size", train_size), ("val_size", val_size), ("test_size", test_size)):
            check_range(name, size, least=1)
        self.letters = "".join(sorted(set(letters)))
        if len(self.letters) < 2:
            raise UserError(f"letters {letters!r} must have two different ones at least")
        lengths, test_lengths = (min_length, max_length), (test_min_length, test_max_length)
        for name, made, size, seed in (
            ("train_set", lengths, train_size, self.seed),
            ("val_set", lengths, val_size, self.VAL_SEED),
            ("test_set", test_lengths, test_size, self.TEST_SEED),
        ):
            strings = RandomStrings(task, self.letters, *made)
            setattr(self, name, GeneratedPairs(strings, self.tokenizer, size, seed, with_texts=name != "train_set"))

    @cached_property
    def tokenizer(self) -> TokenizerPair:
        """The letters, the same on both sides."""
        return TokenizerPair(CharTokenizer(self.letters))
