"""Swapped sides: found where they are, and nothing else is."""

import numpy as np
import pytest

from datamodules.seq2seq.example_pairs import TEST, TRAIN, VAL
from datamodules.seq2seq.swapped import WORDS, SideWords, check_languages

SUBJECTS = [("Der Hund", "The dog"), ("Die Frau", "The woman"), ("Ein Kind", "A child"), ("Ein Mann", "A man")]
VERBS = [("läuft", "is running"), ("schläft", "is sleeping"), ("wartet", "is waiting"), ("steht", "is standing")]
PLACES = [("am Strand", "on the beach"), ("im Garten", "in the garden"), ("vor dem Haus", "in front of the house")]
PAIRS = [
    tuple(" ".join(part) for part in zip(a, b, c, strict=True)) for a in SUBJECTS for b in VERBS for c in PLACES
] * 5
DE, EN = (list(side) for side in zip(*PAIRS, strict=True))


def test_single_swapped_pairs_are_found_and_no_others() -> None:
    rows = {3, 40, 111, 239}
    mixed = [(en, de) if at in rows else (de, en) for at, (de, en) in enumerate(zip(DE, EN, strict=True))]
    sources, targets = (list(side) for side in zip(*mixed, strict=True))
    found = SideWords(sources, targets).swapped(sources, targets)
    assert set(np.flatnonzero(found).tolist()) == rows


def test_texts_that_say_nothing_are_never_swapped() -> None:
    words = SideWords(DE, EN)
    same = ["Paris 2016", "OK", "", "Otto Waalkes, Emden (3 : 0)"]
    assert not words.swapped(same, same).any()
    # One side in the other language alone is a text that was not translated.
    assert not words.swapped(EN[:5], EN[:5]).any()
    assert words.swapped(EN[:5], DE[:5]).all()


def test_two_sides_of_one_language_are_not_judged() -> None:
    words = SideWords(DE[::2], DE[1::2])
    assert not words.clear
    assert not words.swapped(DE, EN).any()


def test_files_in_each_others_place_are_refused() -> None:
    check_languages(DE, EN, "de", "en", "x")
    check_languages(DE, EN, "de_AT", "en-GB", "x")
    with pytest.raises(ValueError, match=r"^path: x: the sides look swapped, de reads like en and en like de;"):
        check_languages(EN, DE, "de", "en", "x")
    with pytest.raises(ValueError, match="swapped"):
        check_languages(EN, DE, "de_AT", "en-GB", "x")
    check_languages(EN, DE, "fi", "en", "x")  # a language that is not known
    check_languages(EN, DE, "default", "english", "x")  # names of columns
    check_languages(EN[:3], DE[:3], "de", "en", "x")  # too little to tell
    check_languages(EN, EN, "de", "en", "x")  # not swapped, whatever it is


@pytest.mark.parametrize("pairs", [TRAIN, VAL, TEST])
def test_the_built_in_sentences_pass(pairs: tuple[tuple[str, str], ...]) -> None:
    sources, targets = (list(side) for side in zip(*pairs, strict=True))
    check_languages(sources, targets, "de", "en", "x")
    assert not SideWords(sources, targets).swapped(sources, targets).any()


def test_each_language_has_words_that_another_lacks() -> None:
    for one, words in WORDS.items():
        assert len(words) >= 9
        for other, others in WORDS.items():
            assert one == other or len(words - others) >= 7
