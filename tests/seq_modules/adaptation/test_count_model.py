"""The estimates of counts are those of a slow model with contexts written out."""

from collections import Counter

import numpy as np
import pytest

from seq_modules.adaptation.contexts import token_contexts
from seq_modules.adaptation.count_model import CountModel
from seq_modules.reference.ngram import NGram

V, LONGEST = 5, 3


@pytest.fixture
def ids() -> np.ndarray:
    generator = np.random.default_rng(0)
    words = [generator.integers(0, V, 6) for _ in range(8)]  # a text that repeats itself
    return np.concatenate([words[number] for number in generator.integers(0, 8, 60)])


def slow_estimates(text: list[int], context: list[int]) -> np.ndarray:
    """(LONGEST, V) after a context, of a text whose first tokens are context alone."""
    model = NGram(V, LONGEST + 1, "kneser_ney")
    for position in range(LONGEST, len(text)):
        model.add(tuple(text[:position][::-1]), text[position])
    for level, contexts in enumerate(model.levels):
        numbers = Counter(count for counts in contexts.values() for count in counts.values())
        model.discounts[level] = (numbers[1] + 1) / (numbers[1] + 2 * numbers[2] + 2)
    return np.array([model.distribution(tuple(context[::-1][:order])) for order in range(1, LONGEST + 1)])


@pytest.mark.parametrize("known", [LONGEST, 100, 200])
def test_estimates_are_those_of_the_contexts_written_out(ids: np.ndarray, known: int) -> None:
    model, read = CountModel(V, LONGEST), 250
    hashes = list(token_contexts(ids, (1, 2, 3)))
    model.fill([each[LONGEST:known] for each in hashes], ids[LONGEST:known])  # some at once, the others one by one
    lookups = model.find(hashes)
    for position in range(known, read):
        model.learn(lookups[position], int(ids[position]))
    for position in range(read, len(ids), 7):
        found, _ = model.estimates(lookups[position])
        expected = slow_estimates(ids[:read].tolist(), ids[:position].tolist())
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_known_contexts_are_counted(ids: np.ndarray) -> None:
    model = CountModel(V, LONGEST)
    lookups = model.find(token_contexts(ids, (1, 2, 3)))
    found, known = model.estimates(lookups[10])
    assert known == 0
    np.testing.assert_allclose(found, 1 / V)
    model.learn(lookups[10], 2)
    found, known = model.estimates(lookups[10])
    assert known == LONGEST
    assert (found.argmax(1) == 2).all()
    before = ids[8:10].tolist()
    same = next(p for p in range(11, 300) if ids[p - 2 : p].tolist() == before and ids[p - 3] != ids[7])
    assert model.estimates(lookups[same])[1] == 2
