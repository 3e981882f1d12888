"""Dates as people write them in many languages, to ISO 8601: "Mittwoch, 3. März 2021" -> "2021-03-03"."""

import datetime
from functools import cached_property
from typing import Any

import numpy as np

from datamodules.loading.counter_rng import random_uint64
from datamodules.seq2seq.base import Seq2SeqDataModule
from datamodules.seq2seq.date_forms import LOCALES, Combination, alphabet, check_locales, combinations, write_date
from datamodules.seq2seq.generated import GeneratedPairs, Pair
from datamodules.tokenizers import CharTokenizer, TokenizerPair
from seqlight.core.hyperparameters import check_range

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
DAYS = (LAST - FIRST).days + 1  # 73,049
TEST_DAYS, VAL_DAYS = 11_000, 2_000  # days that training never sees in any form
DAYS_SEED = 2**40 + 5  # of their choice: the same in every run


class DatePairs:
    """Makes dates from row numbers: a day and a combination of form and locale, each at random.

    Args:
        days: Numbers of days since 1900-01-01 (D,).
        written: The combinations.
        distinct: Take the days in turn, so that D rows have D different ones.
    """

    def __init__(self, days: np.ndarray, written: list[Combination], distinct: bool = False) -> None:
        self.days, self.written, self.distinct = days, written, distinct

    def __call__(self, seed: int, rows: np.ndarray) -> list[Pair]:
        """Source and target of each row."""
        words = (random_uint64(seed, rows, 2) >> np.uint64(32)).astype(np.int64)  # (B, 2) of 32 bits
        indices = rows % len(self.days) if self.distinct else words[:, 0] * len(self.days) >> 32
        dates = [FIRST + datetime.timedelta(days=number) for number in self.days[indices].tolist()]
        forms = [self.written[at] for at in (words[:, 1] * len(self.written) >> 32).tolist()]
        return [(write_date(date, *form), date.isoformat()) for date, form in zip(dates, forms, strict=True)]


class DatesDataModule(Seq2SeqDataModule):
    """Dates in many written forms and languages, with the same date in ISO 8601; one id a character.

    The dates are those from 1900 to 2099, generated row by row without end. Validation and test have days and
    combinations of form and language that training never sees, and each has its own. No form is ambiguous: years have
    four digits, and 03/04/2005 is not used.

    Args:
        batch_size: Dates in a batch of one process.
        locales: Languages as babel names them, such as de, en or pt_BR; at least two. Default: sixteen of Europe.
        train_size: Dates in an epoch of training.
        val_size: Dates in the validation set.
        test_size: Dates in the test set; 11,000 days are held out for it.
        shared: Further arguments of Seq2SeqDataModule.

    Raises:
        UserError: A value is out of its range, or a locale is not known.
    """

    new_rows_each_epoch = True
    VAL_SEED, TEST_SEED = 2**40 + 6, 2**40 + 7  # beyond any seed of a run
    EXAMPLES = ("Wednesday, March 3, 2021", "29. Februar 2000", "14 juillet 1989", "2 maja 2004", "31.12.1999")

    def __init__(
        self,
        batch_size: int = 128,
        locales: list[str] | None = None,
        train_size: int = 25_600,
        val_size: int = 1_000,
        test_size: int = 10_000,
        **shared: Any,
    ) -> None:
        super().__init__(batch_size, **shared)
        self.save_hyperparameters()
        for name, size in (("train_size", train_size), ("val_size", val_size), ("test_size", test_size)):
            check_range(name, size, least=1)
        self.locales = LOCALES if locales is None else tuple(locales)
        check_locales(self.locales)
        days = np.argsort(random_uint64(DAYS_SEED, np.array([0]), DAYS)[0], kind="stable")
        test, val, train = np.split(days, [TEST_DAYS, TEST_DAYS + VAL_DAYS])
        made = {
            "train": DatePairs(train, combinations(self.locales, "train")),
            "val": DatePairs(val, combinations(self.locales, "val"), distinct=True),
            "test": DatePairs(test, combinations(self.locales, "test"), distinct=True),
        }
        self.train_set = GeneratedPairs(made["train"], self.tokenizer, train_size, self.seed)
        self.val_set = GeneratedPairs(made["val"], self.tokenizer, val_size, self.VAL_SEED, True)
        self.test_set = GeneratedPairs(made["test"], self.tokenizer, test_size, self.TEST_SEED, True)

    @cached_property
    def tokenizer(self) -> TokenizerPair:
        """Characters of the dates in these locales, and of ISO 8601."""
        return TokenizerPair(CharTokenizer(alphabet(self.locales)), CharTokenizer("-0123456789"))
