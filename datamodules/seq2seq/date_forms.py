"""The written forms of dates in many languages, by babel (the names and orders of Unicode's CLDR).

No form is ambiguous: years have four digits, and a day and a month that are both numbers come with dots, day first, or
after the year. What many write as 03/04/2005 means two days, and is left out.
"""

import datetime
import itertools
from functools import lru_cache
from typing import Any, Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, get_month_names

from seqlight.core.errors import UserError

LOCALES = (
    "da", "de", "el", "en", "es", "fi", "fr", "hu", "it", "nl", "pl", "pt", "ro", "ru", "sv", "tr",
)  # fmt: skip
# With names of months or days: babel's own two orders of each language, and patterns in CLDR's letters (y year, M
# month, d day of the month, E day of the week; four letters for a whole name).
OWN_FORMS = ("full", "long")
WORD_FORMS = (
    *OWN_FORMS, "d MMMM y", "d. MMMM y", "MMMM d, y", "y MMMM d", "EEEE d MMMM y", "MMMM d y, EEEE", "d MMM y",
    "MMM d y", "EEE, d MMM y", "d-MMM-y", "EEEE, dd.MM.y", "y/MM/dd (EEE)",
)  # fmt: skip
NUMBER_FORMS = ("d.M.y", "dd.MM.y", "y/M/d", "y-MM-dd", "yMMdd")  # the same in every language
ALL_NAMES = (  # days that show every name of a month and of a day of the week
    *(datetime.date(2024, month, 1) for month in range(1, 13)),
    *(datetime.date(2024, 2, 10 + at) for at in range(7)),
)
MONTHS: tuple[tuple[Any, Any], ...] = tuple(itertools.product(("wide", "abbreviated"), ("format", "stand-alone")))
SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})  # CLDR's no-break spaces, which nobody types

Part = Literal["train", "val", "test"]
Combination = tuple[str, str | None]  # a form and a locale; a form of numbers has none


def combinations(locales: tuple[str, ...], part: Part) -> list[Combination]:
    """The combinations of a form and a locale that training uses, or those that only validation or the test has.

    Of a locale's forms with names two in twelve are the test's and one is validation's, other ones from locale to
    locale: their forms are known from other locales, and their locales from other forms. A language's own two orders
    are always trained, since no other language has their words, such as the Spanish "3 de marzo de 2021". Forms of
    numbers are used in training alone, each four times as often as another combination, since no name tells their
    months.

    Args:
        locales: At least two.
        part: Whose combinations are wanted.
    """
    found: list[Combination] = [
        (form, locale)
        for place, locale in enumerate(locales)
        for number, form in distinct_forms(locale)
        if part_of(form, number + 5 * place) == part
    ]
    return [*found, *[(form, None) for form in NUMBER_FORMS] * 4] if part == "train" else found


def part_of(form: str, number: int) -> Part:
    """Which part a locale's form belongs to, by a number that differs from locale to locale."""
    if form in OWN_FORMS or (number % 6 and number % 12 != 3):
        return "train"
    return "val" if number % 6 else "test"


@lru_cache
def distinct_forms(locale: str) -> list[tuple[int, str]]:
    """The forms with names that differ from each other in a locale, with their places in ``WORD_FORMS``.

    In German, for one, "long" and "d. MMMM y" are the same: if one were held out, training would show the other.
    """
    texts: dict[tuple[str, ...], tuple[int, str]] = {}
    for number, form in enumerate(WORD_FORMS):
        texts.setdefault(tuple(write_date(date, form, locale) for date in ALL_NAMES), (number, form))
    return list(texts.values())


def write_date(date: datetime.date, form: str, locale: str | None) -> str:
    """A date in a form and a language, such as "Mittwoch, 3. März 2021"."""
    return str(format_date(date, form, locale=_locale(locale or "en"))).translate(SPACES)


@lru_cache
def _locale(name: str) -> Locale:
    return Locale.parse(name)


def check_locales(locales: tuple[str, ...]) -> None:
    """Refuses unknown locales, fewer than two, and two that call different months by one name.

    Raises:
        UserError: They are so.
    """
    if len(set(locales)) < max(2, len(locales)):
        raise UserError(f"locales {list(locales)} must be two different ones at least: forms are held out of each")
    months: dict[str, tuple[int, str]] = {}
    for locale in locales:
        try:
            names = [
                (name, month) for kind in MONTHS for month, name in get_month_names(*kind, _locale(locale)).items()
            ]
        except (UnknownLocaleError, ValueError) as error:
            raise UserError(f"locales: babel knows no {locale!r}; give such as {', '.join(LOCALES[:4])}") from error
        for name, month in names:
            other, of = months.setdefault(name.lower().rstrip("."), (month, locale))
            if other != month:
                raise UserError(
                    f"locales: {name} is month {other} in {of} and month {month} in {locale}; leave one of them out"
                )


def alphabet(locales: tuple[str, ...]) -> str:
    """All characters of the dates in some locales, sorted."""
    texts = [write_date(date, form, locale) for locale in locales for form in WORD_FORMS for date in ALL_NAMES]
    return "".join(sorted({*"0123456789./-", *"".join(texts)}))
