"""Hashes of contexts are equal exactly where the contexts are."""

from itertools import product

import numpy as np

from seq_modules.adaptation.contexts import WordContexts, token_contexts


def test_tokens_hash_alike_exactly_where_they_are_the_same() -> None:
    ids = np.random.default_rng(0).integers(0, 3, 80)
    for order, hashes in zip((1, 2, 5), token_contexts(ids, (1, 2, 5)), strict=True):
        contexts = [tuple(ids[max(0, position - order) : position]) for position in range(len(ids) + 1)]
        assert [hashes[i] == hashes[j] for i, j in product(range(81), repeat=2)] == [
            contexts[i] == contexts[j] for i, j in product(range(81), repeat=2)
        ]


def test_hashes_do_not_depend_on_the_place_in_the_text() -> None:
    ids = np.random.default_rng(0).integers(0, 50, 200)
    for whole, part in zip(token_contexts(ids, (1, 4)), token_contexts(ids[100:], (1, 4), first=10), strict=True):
        assert (whole[110:] == part).all()


def test_words_hash_alike_whatever_lies_between_them_and_however_they_are_cased() -> None:
    text = "the king. The King,\n  the kin"
    pieces = sorted(set(text))
    ids = np.array([pieces.index(letter) for letter in text])
    word, pair = WordContexts(pieces, (0, 1))(ids)
    first, second, third = text.index("g."), text.index("g,"), len(text)  # after "kin" each time
    assert word[first] == word[second] == word[third]
    assert pair[first] == pair[second] == pair[third]
    assert word[first] != word[first + 1]
    begin, other = text.index("king"), text.index("the", 1)  # before a word: nothing of it is written
    assert word[begin] == word[other]
    assert pair[begin] != pair[other]  # "the " and ",\n  " after "king"


def test_words_of_subwords_begin_at_their_marks() -> None:
    pieces = ["\u2581the", "\u2581k", "ing", "."]
    word, pair = WordContexts(pieces, (0, 1))(np.array([0, 1, 2, 3, 0, 1, 2]))
    assert word[3] == word[7]
    assert pair[2] == pair[6]
    assert word[1] != word[2]
