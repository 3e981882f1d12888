"""Models that count: sums of one, values by hand, and independent implementations that are slow and plain."""

import math
import random
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest

from seq_modules.reference.ngram import FORMS, METHODS, EventModel, Method, NGram

V = 5


def text(length: int = 300, seed: int = 0) -> list[tuple[tuple[int, ...], int]]:
    """Symbols of a Markov chain, 4 rare and 3 rarer, each with the three before it, the nearest first."""
    generator, symbols = random.Random(seed), [0, 0, 0]
    for _ in range(length):
        symbols.append(generator.choices(range(V), [3, 1 + 3 * (symbols[-1] == 0), 2, 0.1, 0.3])[0])
    return [(tuple(symbols[at - 3 : at][::-1]), symbols[at]) for at in range(3, len(symbols))]


def learned(method: Method, order: int = 4, seed: int = 0) -> NGram:
    model = NGram(V, order, method)
    for context, symbol in text(seed=seed):
        model.add(context, symbol)
    model.set_discounts()
    return model


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("method", METHODS)
def test_probabilities_sum_to_one(method: Method, order: int) -> None:
    empty, model = NGram(V, order, method), learned(method, order)
    for context in product(range(V), repeat=3):  # most of them were never seen
        for some in (empty, model):
            values = some.distribution(context)
            assert values.min() > 0
            assert values.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(empty.distribution((0, 0, 0)), 1 / V)


def test_witten_bell_by_hand() -> None:
    """After a: b twice, c once. p(b) = 2/3, 1/3 with T = 2, N = 3, over a unigram of the same counts."""
    model = NGram(4, 2, "witten_bell")
    for symbol in (1, 1, 2):
        model.add((0,), symbol)
    low = [(2 * 1 / 4) / 5, (2 + 2 / 4) / 5, (1 + 2 / 4) / 5, (2 / 4) / 5]
    expected = [(2 * low[0]) / 5, (2 + 2 * low[1]) / 5, (1 + 2 * low[2]) / 5, (2 * low[3]) / 5]
    np.testing.assert_allclose(model.distribution((0,)), expected, rtol=1e-14)
    np.testing.assert_allclose(model.distribution((3,)), low, rtol=1e-14)


def test_kneser_ney_by_hand() -> None:
    """ "San Francisco": what follows one context alone, however often, counts once below."""
    model = NGram(3, 2, "kneser_ney")
    for context, symbol in [((0,), 2)] * 9 + [((0,), 1), ((1,), 1), ((2,), 1)]:
        model.add(context, symbol)
    model.discounts = [0.5, 0.75]
    # Unigram by contexts: 1 follows three, 2 follows one; N = 4, T = 2, D = 1/2.
    low = [0.25 / 3, (3 - 0.5 + 1 / 3) / 4, (1 - 0.5 + 1 / 3) / 4]
    np.testing.assert_allclose(model.distribution(()), low, rtol=1e-14)
    expected = [1.5 * low[0] / 10, (1 - 0.75 + 1.5 * low[1]) / 10, (9 - 0.75 + 1.5 * low[2]) / 10]
    np.testing.assert_allclose(model.distribution((0,)), expected, rtol=1e-14)


def test_ppm_by_hand() -> None:
    """Escapes with exclusion: what the context has seen counts no more below."""
    model = NGram(4, 2, "ppm")
    for context, symbol in (((0,), 1), ((0,), 1), ((0,), 2), ((3,), 0), ((3,), 1)):
        model.add(context, symbol)
    # After 0: 1 twice, 2 once, escape 2/5. Below, by contexts: 0 once, 1 twice, 2 once; without 1 and 2, escape 1/2.
    expected = [2 / 5 * 1 / 2, 2 / 5, 1 / 5, 2 / 5 * 1 / 2]
    np.testing.assert_allclose(model.distribution((0,)), expected, rtol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_against_a_plain_implementation(method: Method) -> None:
    model, seen = learned(method), text()

    def counts_after(context: tuple[int, ...]) -> Counter[int]:
        """What followed the context; below the longest, once for each way that it went on backwards."""
        level = len(context)
        if method == "witten_bell" or level == 3:
            return Counter(symbol for before, symbol in seen if before[:level] == context)
        longer = {(before[: level + 1], symbol) for before, symbol in seen if before[:level] == context}
        return Counter(symbol for _, symbol in longer)

    def expected(context: tuple[int, ...], excluded: frozenset[int] = frozenset()) -> list[float]:
        counts = counts_after(context)
        for symbol in excluded:
            del counts[symbol]
        if not counts and context:
            return expected(context[:-1], excluded)
        total, kinds = sum(counts.values()), len(counts)
        if method == "ppm":
            outside = excluded | set(counts)
            kinds = kinds if len(outside) < V else 0
            below = [0.0] * V
            if kinds:
                below = (
                    expected(context[:-1], outside)
                    if context
                    else [(w not in outside) / (V - len(outside)) for w in range(V)]
                )
            return [(counts[w] + kinds * below[w]) / (total + kinds) for w in range(V)]
        below = expected(context[:-1]) if context else [1 / V] * V
        if method == "witten_bell":
            return [(counts[w] + kinds * below[w]) / (total + kinds) for w in range(V)]
        discount = model.discounts[len(context)]
        return [(max(counts[w] - discount, 0) + discount * kinds * below[w]) / total for w in range(V)]

    for context in product(range(V), repeat=3):
        np.testing.assert_allclose(model.distribution(context), expected(context), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_removed_leaves_no_trace(method: Method) -> None:
    model, more = learned(method), text(seed=1)
    before = [{context: dict(counts) for context, counts in level.items()} for level in model.levels]
    for context, symbol in more:
        model.add(context, symbol)
    assert [dict(level) for level in model.levels] != before
    for context, symbol in random.Random(0).sample(more, len(more)):  # in any order
        model.remove(context, symbol)
    assert model.levels == before
    assert all(counts.total == sum(counts.values()) for level in model.levels for counts in level.values())


def test_discounts_follow_the_counts_of_counts() -> None:
    model = NGram(9, 1, "kneser_ney")
    for symbol in (0, 1, 2, 3, 3, 4, 4, 5, 5, 5):
        model.add((), symbol)
    model.set_discounts()
    assert model.discounts == [3 / (3 + 2 * 2)]


def pieces(count: int = 6, seed: int = 0) -> list[list[tuple[int, ...]]]:
    """Pieces of events (pitch, duration), pitch 0 for the end, without a duration."""
    generator = random.Random(seed)
    found = []
    for _ in range(count):
        pitches = [generator.choice((1, 2, 3)) for _ in range(9)]
        found.append([(pitch, (pitch + at) % 2) for at, pitch in enumerate(pitches)] + [(0, -1)])
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", METHODS)
def test_the_probabilities_of_all_pieces_of_a_length_sum_to_one(method: Method, form: str) -> None:
    model = EventModel((4, 2), 3, method, form)  # type: ignore[arg-type]
    model.learn(pieces())
    # An event is an end, or any pitch with any duration; "joint" also knows notes without one and ends with one.
    events: list[tuple[int, ...]] = [(0, -1), *product((1, 2, 3), (0, 1))]
    if form == "joint":
        events = list(product(range(4), (-1, 0, 1)))
    total = sum(math.exp(-model.nats(list(piece))) for piece in product(events, repeat=2))
    assert total == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_adapting_helps_on_what_repeats_and_is_forgotten(form: str) -> None:
    model = EventModel((4, 2), 3, "kneser_ney", form)  # type: ignore[arg-type]
    model.learn(pieces())
    piece = [(3, 1), (3, 0), (1, 1)] * 8
    fixed = model.nats(piece)
    assert model.nats(piece, adaptive=True) < 0.8 * fixed
    assert model.nats(piece) == fixed


def test_chained_fields_know_the_fields_before_them() -> None:
    """The duration follows from the pitch: chained finds that, apart cannot."""
    generator = random.Random(0)
    piece = [(pitch, pitch % 2) for pitch in (generator.randrange(4) for _ in range(400))]
    nats = {}
    for form in ("chained", "apart"):
        model = EventModel((4, 2), 1, "kneser_ney", form)  # type: ignore[arg-type]
        model.learn([piece])
        nats[form] = model.nats(piece) / len(piece)
    assert nats["chained"] == pytest.approx(math.log(4), abs=0.05)
    assert nats["apart"] == pytest.approx(math.log(8), abs=0.05)


def test_the_context_has_the_nearest_first() -> None:
    """Order 2 sees the symbol before, and no other."""
    piece = [(symbol,) for symbol in (0, 1, 0, 1, 0, 1, 0, 2)]
    model = EventModel((3,), 2, "witten_bell", "apart")
    model.learn([piece])
    expected = [NGram(3, 2, "witten_bell")][0]
    for (before,), (symbol,) in pairwise([(-1,), *piece]):
        expected.add((before,), symbol)
    assert model.nats([(0,), (1,), (2,)]) == pytest.approx(
        -sum(math.log(expected.probability((a,), b)) for a, b in pairwise([-1, 0, 1, 2]))
    )


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^vocab_size must be at least 1, not 0"):
        NGram(0, 1, "ppm")
    with pytest.raises(ValueError, match=r"^method must be one of .*, not 'good_turing'"):
        NGram(1, 1, "good_turing")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^form must be one of .*, not 'both'"):
        EventModel((1,), 1, "ppm", "both")  # type: ignore[arg-type]
