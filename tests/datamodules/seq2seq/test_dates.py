"""Dates: each is what an independent reading of it gives, and what is held out for the test is in no training row."""

import datetime
import re

import numpy as np
import pytest
import torch
from babel.dates import get_day_names, get_month_names

from datamodules import DatesDataModule
from datamodules.seq2seq.date_forms import (
    LOCALES,
    NUMBER_FORMS,
    WORD_FORMS,
    Part,
    combinations,
    distinct_forms,
    write_date,
)
from datamodules.seq2seq.dates import DAYS, FIRST, LAST
from datamodules.seq2seq.generated import GeneratedPairs
from seqlight.core.labels import UNK


def read_date(text: str, locale: str | None) -> datetime.date:
    """An independent reading: the name of a month, a year of four digits, and the day is what is left."""
    if locale is None or "/" in text or re.search(r"\d\.\d", text):
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if len(numbers) == 1:
            return datetime.datetime.strptime(text, "%Y%m%d").date()
        return datetime.date(*(numbers if numbers[0] > 31 else numbers[::-1]))
    months = {
        name: month
        for width in ("wide", "abbreviated")
        for month, name in get_month_names(width, locale=locale).items()
    }
    days = {name for width in ("wide", "abbreviated") for name in get_day_names(width, locale=locale).values()}
    (year,) = re.findall(r"\d{4}", text)
    (day,) = re.findall(r"\b\d{1,2}\b", text)
    words = "|".join(sorted(map(re.escape, months.keys() | days), key=len, reverse=True))
    found = [word for word in re.findall(rf"(?<!\w)(?:{words})(?!\w)", text) if word in months]
    # "mar" is Tuesday and March in Spanish: a month's name is the one beside the day's number or the year.
    beside = [word for word in found if re.search(rf"\d[-. de]*{re.escape(word)}|{re.escape(word)}[-. ]*\d", text)]
    (month,) = {months[word] for word in beside}
    return datetime.date(int(year), month, int(day))


@pytest.mark.parametrize("locale", [*LOCALES, None])
def test_every_form_is_read_back_as_the_date_it_was(locale: str | None) -> None:
    for at, form in enumerate(WORD_FORMS if locale else NUMBER_FORMS):
        for day in range(at, DAYS, 577):  # a prime: all days of the week and of the month
            date = FIRST + datetime.timedelta(days=day)
            assert read_date(write_date(date, form, locale), locale) == date, (form, write_date(date, form, locale))


def test_the_target_is_the_same_date_and_the_years_are_all_there() -> None:
    data = DatesDataModule(seed=3)
    pairs = data.train_set.pairs(range(3000))
    for source, target in pairs:
        date = datetime.date.fromisoformat(target)
        assert str(date.year) in source
        assert FIRST <= date <= LAST
    assert len({target[:4] for _, target in pairs}) == 200


def test_what_validation_and_test_have_training_never_sees() -> None:
    parts: tuple[Part, ...] = ("train", "val", "test")
    seen, validated, tested = (combinations(LOCALES, part) for part in parts)
    assert not set(validated) & set(tested)
    for unseen, least in ((validated, 12), (tested, 24)):
        assert not set(seen) & set(unseen)
        # Every held-out form is trained in other locales, and every locale in other forms.
        assert {form for form, _ in unseen} <= {form for form, _ in seen}
        assert {locale for _, locale in unseen} <= {locale for _, locale in seen}
        assert len(unseen) >= least
        # No held-out text could be written in another of the locale's trained forms on every day of the year.
        for form, locale in unseen:
            days = [datetime.date(2024, month, day) for month in range(1, 13) for day in (1, 28)]
            texts = [write_date(day, form, locale) for day in days]
            for other, of in seen:
                assert of != locale or [write_date(day, other, of) for day in days] != texts
    assert {locale for _, locale in tested} == set(LOCALES)

    data = DatesDataModule(seed=0)
    sets: list[GeneratedPairs] = [data.train_set, data.val_set, data.test_set]
    made = [one.pairs(range(size)) for one, size in zip(sets, (20_000, 1_000, 10_000), strict=True)]
    days = [{target for _, target in pairs} for pairs in made]
    assert not days[0] & days[1]
    assert not days[0] & days[2]
    assert not days[1] & days[2]
    assert len(days[2]) == 10_000  # all different
    written = [sets[at].make.written for at in range(3)]  # type: ignore[attr-defined]
    assert written == [seen, validated, tested]


def test_forms_that_are_the_same_in_a_locale_count_once() -> None:
    german = [form for _, form in distinct_forms("de")]
    assert "long" in german
    assert "d. MMMM y" not in german
    assert "d. MMMM y" in [form for _, form in distinct_forms("en")]


def test_no_form_is_ambiguous() -> None:
    for locale in LOCALES:
        for form in WORD_FORMS:
            text = write_date(datetime.date(2005, 4, 3), form, locale)
            assert "2005" in text
            assert not re.search(r"\d\d?/\d\d?/\d{4}", text)


def test_rows_depend_on_number_and_seed_alone_and_never_end() -> None:
    data = DatesDataModule(seed=3)
    rows = data.train_set.pairs(range(1000))
    assert data.train_set.pairs([999, 5]) == [rows[999], rows[5]]
    assert data.train_set.pairs(range(10**9, 10**9 + 3)) != rows[:3]
    assert DatesDataModule(seed=4).train_set.pairs(range(1000)) != rows
    assert DatesDataModule(seed=4).test_set.pairs(range(50)) == data.test_set.pairs(range(50))
    assert len(set(rows)) > 990


def test_the_tokenizer_knows_every_character() -> None:
    data = DatesDataModule(seed=3)
    batch = data.train_set.__getitems__(range(5000))
    assert not (batch["source_ids"] == UNK).any()
    assert not (batch["target_ids"] == UNK).any()
    tokenizer = data.tokenizer
    for row, (source, target) in enumerate(data.train_set.pairs(range(20))):
        assert tokenizer.source.decode(batch["source_ids"][row].tolist()) == source
        assert tokenizer.target.decode(batch["target_ids"][row].tolist()) == target
    assert data.vocab_size == 4 + 11
    assert data.source_vocab_size == tokenizer.source.vocab_size


def test_combinations_and_days_are_drawn_evenly() -> None:
    data = DatesDataModule(seed=0, locales=["de", "en"])
    targets = [target for _, target in data.train_set.pairs(range(24_000))]
    months = np.bincount([int(target[5:7]) for target in targets], minlength=13)[1:]
    assert np.abs(months - 2000).max() < 5 * 2000**0.5 + 100  # 28 to 31 days


def test_predict_takes_texts_and_two_locales_are_needed() -> None:
    data = DatesDataModule(texts=["3. März 2021", ""], locales=["de", "en"])
    data.setup("predict")
    batch = data.predict_set.__getitems__([0, 1])
    assert sorted(batch["sources"]) == ["", "3. März 2021"]
    assert "labels" not in batch
    assert torch.equal(batch["source_mask"].sum(1).sort().values, torch.tensor([1, 13]))
    for wrong, message in ((["de"], "two different"), (["de", "xx"], "knows no 'xx'"), (["cs", "hr"], "listopad")):
        with pytest.raises(ValueError, match=rf"^locales.*{message}"):
            DatesDataModule(locales=wrong)
