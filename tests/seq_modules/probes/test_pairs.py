"""Scoring: what wins, what ties, and the interval."""

import csv
import io
import math

import pytest

from seq_modules.probes.pairs import Pair, band_name, distinct, preference, score_pairs, wilson


def scorer(table: dict[str, tuple[float, int]], calls: list[list[str]] | None = None):
    def log_probs(texts: list[str]) -> list[tuple[float, int]]:
        if calls is not None:
            calls.append(texts)
        return [table[text] for text in texts]

    return log_probs


def test_total_and_mean_may_disagree() -> None:
    """A long good text loses by its total and wins by its mean."""
    report = score_pairs([Pair("long good", "bad", "s", "k")], scorer({"long good": (-10.0, 5), "bad": (-6.0, 2)}))
    found = [(row.suite, row.by, row.group, row.accuracy, row.accuracy_mean) for row in report.rows]
    assert found == [("s", "all", "all", 0.0, 1.0), ("s", "kind", "k", 0.0, 1.0)]


def test_ties_count_half_and_rounding_is_a_tie() -> None:
    assert preference(-3.0, -3.0) == preference(-100.0, -100.00001) == preference(-math.inf, -math.inf) == 0.5
    assert preference(-3.0, -3.001) == 1
    assert preference(-math.inf, -3.0) == 0
    table = {"a": (-1.0, 1), "b": (-1.0, 1), "c": (-2.0, 1)}
    report = score_pairs([Pair("a", "b", "s", "s"), Pair("a", "c", "s", "s"), Pair("c", "b", "s", "s")], scorer(table))
    assert report.rows[0].accuracy == 0.5


@pytest.mark.parametrize(
    ("wins", "pairs", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (50, 100, 0.4038, 0.5962)],
)
def test_wilson_intervals_are_those_in_print(wins, pairs, low, high) -> None:
    """81 of 263 is Newcombe's example (1998); the others are from R's prop.test without correction."""
    assert wilson(wins, pairs) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.97])
def test_the_interval_ends_where_the_share_is_just_rejected(share) -> None:
    """By its definition: the ends solve |p - share| = z sqrt(p (1 - p) / n)."""
    for end in wilson(200 * share, 200):
        assert abs(end - share) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / 200))


def test_each_text_is_scored_once_and_with_those_of_its_length() -> None:
    calls: list[list[str]] = []
    pairs = [Pair("aaaa", "bb", "s", "k"), Pair("aaaa", "c", "s", "k"), Pair("d", "bb", "s", "k")]
    table = {"aaaa": (-1.0, 4), "bb": (-2.0, 2), "c": (-3.0, 1), "d": (-4.0, 1)}
    report = score_pairs(pairs, scorer(table, calls), chunk=2)
    assert calls == [["c", "d"], ["bb", "aaaa"]]
    assert report.rows[0].accuracy == pytest.approx(2 / 3)


def test_rows_by_kind_length_and_frequency() -> None:
    pairs = [
        Pair("good one", "bad one", "x", "a", "word", 0),
        Pair("good two", "bad two", "x", "b", "word", 7),
        Pair("good six", "bad six", "x", "b", "lengthy word", 1000),
        Pair("good ten", "bad ten", "y", "y"),
    ]
    report = score_pairs(pairs, lambda texts: [(-1.0 if "good" in t and "two" not in t else -2.0, 1) for t in texts])
    found = {(row.suite, row.by, row.group): (row.pairs, row.accuracy) for row in report.rows}
    assert found == {
        ("x", "all", "all"): (3, pytest.approx(5 / 6)),
        ("x", "kind", "a"): (1, 1.0),
        ("x", "kind", "b"): (2, 0.75),
        ("x", "length", "4-5"): (2, 0.75),
        ("x", "length", "10+"): (1, 1.0),
        ("x", "frequency", "0"): (1, 1.0),
        ("x", "frequency", "2-9"): (1, 0.5),
        ("x", "frequency", "100+"): (1, 1.0),
        ("y", "all", "all"): (1, 1.0),
    }
    lines = list(csv.DictReader(io.StringIO(report.csv())))
    assert [line["group"] for line in lines] == [row.group for row in report.rows]
    assert float(lines[0]["low"]) == pytest.approx(report.rows[0].low)
    assert "| x | kind | b | 2 | 75.0 (" in report.markdown()


def test_bands() -> None:
    assert [band_name(n, ((0, 0), (1, 9), (10, None))) for n in (0, 1, 9, 10, 99)] == ["0", "1-9", "1-9", "10+", "10+"]


def test_no_pairs_no_rows() -> None:
    assert score_pairs([], scorer({})).rows == []


def test_identical_members_and_broken_scores_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^pairs: both members are 'a' \(s, k\)"):
        score_pairs([Pair("a", "a", "s", "k")], scorer({}))
    with pytest.raises(ValueError, match=r"^log_probs: the score of 'a' is not a number"):
        score_pairs([Pair("a", "b", "s", "k")], scorer({"a": (math.nan, 1), "b": (-1.0, 1)}))


def test_distinct_pairs() -> None:
    pairs = [Pair(*texts, "s", "k") for texts in (("a", "a"), ("a", "b"), ("a", "b"), ("b", "a"), ("c", "d"))]
    assert [pair[:2] for pair in distinct(pairs, 2)] == [("a", "b"), ("b", "a")]
