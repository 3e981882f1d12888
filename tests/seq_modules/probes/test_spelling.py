"""Non-words: one edit or a shuffle away, and no words."""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from seq_modules.probes.spelling import EDITS, Lexicon, make_spelling

TRAIN = """The castle stood upon the mountain, and every morning the old soldier walked around the garden. "Whither now,
Gloucester?" said the captain; the soldier's daughter laughed, for the captain was a well-mannered person with manners.
"""
HELD_OUT = (
    "Before the castle another soldier walked slowly;\nthe Captain's horses drank water, and the soldier laughed."
)


def edits_apart(one: str, other: str) -> int:
    """Damerau and Levenshtein's distance (neighbours may be exchanged), by the textbook's table."""
    table = [[i + j if not i * j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            )
            if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(st.text("abcdefgh", min_size=2, max_size=12), st.integers(0, 99))
def test_edits_are_what_they_are_called(word, seed) -> None:
    lengths = {"delete": -1, "insert": 1, "substitute": 0, "transpose": 0, "shuffle": 0}
    for kind, edit in EDITS.items():
        bad = edit(word, "xyz", random.Random(seed))
        assert len(bad) == len(word) + lengths[kind]
        if kind != "shuffle":
            assert edits_apart(word, bad) <= 1
        if kind in ("transpose", "shuffle"):
            assert Counter(bad) == Counter(word)


def test_pairs_are_words_of_the_held_out_text_against_non_words() -> None:
    pairs = make_spelling(TRAIN, HELD_OUT, per_kind=50)
    text = Counter((TRAIN + HELD_OUT).lower().replace(",", " ").replace(".", " ").replace(";", " ").split())
    assert {pair.kind for pair in pairs} == set(EDITS)
    for pair in pairs:
        assert pair.word is not None
        assert pair.good == f" {pair.word},"
        bad = pair.bad[1:-1]
        assert pair.bad == f" {bad},"
        assert bad not in text
        assert bad != pair.word
        assert min(len(bad), len(pair.word)) >= 4
        assert pair.kind == "shuffle" or edits_apart(pair.word, bad) == 1
    seen = {(pair.word, pair.frequency) for pair in pairs if pair.suite == "spelling_seen"}
    unseen = {(pair.word, pair.frequency) for pair in pairs if pair.suite == "spelling_unseen"}
    assert seen == {("castle", 1), ("soldier", 1), ("walked", 1), ("laughed", 1)}  # soldier's is another word
    assert unseen == {(word, 0) for word in ("another", "slowly", "horses", "drank", "water")}


def test_context_is_the_held_out_text_around_the_word() -> None:
    pairs = make_spelling(TRAIN, HELD_OUT, per_kind=50, context=2)
    assert pairs
    for pair in pairs:
        assert pair.good[1:] in HELD_OUT
        place = pair.good.index(pair.word)
        assert pair.bad.startswith(pair.good[:place])
        assert pair.bad.endswith(pair.good[place + len(pair.word) :])
    (slowly,) = {pair.good for pair in pairs if pair.word == "slowly"}
    assert slowly == " soldier walked slowly;\nthe Captain's"


def test_the_seed_decides() -> None:
    first = make_spelling(TRAIN, HELD_OUT, seed=1)
    assert first == make_spelling(TRAIN, HELD_OUT, seed=1)
    assert first != make_spelling(TRAIN, HELD_OUT, seed=2)
    assert len(make_spelling(TRAIN, HELD_OUT, per_kind=2)) == 2 * 5 * 2


def test_every_process_makes_the_same_pairs() -> None:
    """Sets of strings have another order in each process, and ranks and models must be asked the same."""
    code = (
        "from seq_modules.probes.spelling import make_spelling; "
        f"print([pair.bad for pair in make_spelling({TRAIN!r}, {HELD_OUT!r}, seed=1)])"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == f"{[pair.bad for pair in make_spelling(TRAIN, HELD_OUT, seed=1)]}\n"


def test_a_word_stands_against_as_many_non_words_as_asked() -> None:
    for most in (1, 3):
        often = Counter((pair.word, pair.kind) for pair in make_spelling(TRAIN, HELD_OUT, per_word=most))
        assert max(often.values()) == most


@pytest.mark.parametrize(
    "word", ["horses", "horse", "walks", "walking", "unhappy", "happily", "runs", "cities", "horserun"]
)
def test_words_that_may_well_be_words_are_known(word) -> None:
    """A form that the text happens not to have is no non-word."""
    known = Lexicon(["horse walked happy running city run"])
    assert word in known


def test_plain_non_words_are_not_known() -> None:
    known = Lexicon(["horse walked happy running city"])
    assert not any(word in known for word in ("hors", "hrose", "walkqd", "hapyp", "xrunning", "ctiy", "horze"))


def test_capitals_hyphens_and_apostrophes_belong_to_the_lexicon() -> None:
    known = Lexicon(["Gloucester well-mannered o'clock"])
    assert all(word in known for word in ("gloucester", "well", "mannered", "clock", "well-mannered"))


def test_texts_without_words_give_no_pairs() -> None:
    assert make_spelling("", "") == []
    assert make_spelling("1 2 3", "\N{GREEK SMALL LETTER ALPHA} 4 5") == []


@pytest.mark.parametrize(("name", "value"), [("per_kind", 0), ("context", -1), ("min_length", 1), ("per_word", 0)])
def test_bad_values_are_refused(name, value) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be at least"):
        make_spelling(TRAIN, HELD_OUT, **{name: value})
