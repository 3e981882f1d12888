"""Minimal pairs: two texts that differ in one thing, and how often a language model prefers the good one.

All it needs of a model is a function from texts to log-probabilities. The method is in docs/notes/probes.md.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from seqlight.core.errors import UserError

LogProbs = Callable[[list[str]], list[tuple[float, int]]]
"""For each text the sum of the log-probabilities of all its tokens, in nats, and the number of tokens."""

LENGTHS = ((1, 3), (4, 5), (6, 7), (8, 9), (10, None))  # letters of a word
FREQUENCIES = ((0, 0), (1, 1), (2, 9), (10, 99), (100, None))  # occurrences of a word in the training text
CHUNK = 4096  # texts per call of the scoring function


class Pair(NamedTuple):
    """Two texts, of which a model should prefer the good one.

    Attributes:
        good: The correct text.
        bad: The incorrect text.
        suite: The test that the pair belongs to, such as "spelling_seen"; part of the metric's name.
        kind: The phenomenon, such as "transpose".
        word: The word that was changed; None where the pair is not about one word.
        frequency: Occurrences of the word in the training text; None where they are unknown.
    """

    good: str
    bad: str
    suite: str
    kind: str
    word: str | None = None
    frequency: int | None = None


class Outcome(NamedTuple):
    """Which text of a pair the model prefers: 1 for the good one, 0.5 for a tie, 0 for the bad one.

    Attributes:
        pair: The pair.
        total: By the total log-probability.
        mean: By the mean log-probability over the tokens.
    """

    pair: Pair
    total: float
    mean: float


class AccuracyRow(NamedTuple):
    """Accuracy on a group of pairs, by total log-probability and by its mean over the tokens.

    Attributes:
        suite: The test.
        by: How the pairs were grouped: "all", "kind", "length" or "frequency".
        group: Name of the group.
        pairs: Number of pairs.
        accuracy: Fraction of pairs in which the good text has the higher total; ties count half.
        low: Lower end of the 95 % interval.
        high: Upper end.
        accuracy_mean: As ``accuracy``, by the mean.
        low_mean: Lower end of its interval.
        high_mean: Upper end.
    """

    suite: str
    by: str
    group: str
    pairs: int
    accuracy: float
    low: float
    high: float
    accuracy_mean: float
    low_mean: float
    high_mean: float


def score_pairs(pairs: Sequence[Pair], log_probs: LogProbs, chunk: int = CHUNK) -> "Report":
    """Scores both texts of each pair with a language model.

    Each distinct text is scored once, in chunks of texts of similar length.

    Args:
        pairs: The pairs; the two texts of a pair must differ.
        log_probs: The model's scoring function, see :data:`LogProbs`.
        chunk: Most texts per call of ``log_probs``, at least 1.

    Raises:
        UserError: The texts of a pair are identical, or a score is NaN.
    """
    for pair in pairs:
        if pair.good == pair.bad:
            raise UserError(f"pairs: both members are {pair.good!r} ({pair.suite}, {pair.kind}); leave the pair out")
    texts = sorted({text for pair in pairs for text in pair[:2]}, key=lambda text: (len(text), text))
    scores: dict[str, tuple[float, int]] = {}
    for start in range(0, len(texts), chunk):
        part = texts[start : start + chunk]
        scores.update(zip(part, log_probs(part), strict=True))
    for text, (total, _) in scores.items():
        if math.isnan(total):
            raise UserError(f"log_probs: the score of {text!r} is not a number (NaN); the model's weights are broken")
    outcomes = []
    for pair in pairs:
        (good, good_tokens), (bad, bad_tokens) = scores[pair.good], scores[pair.bad]
        mean = preference(good / max(good_tokens, 1), bad / max(bad_tokens, 1))
        outcomes.append(Outcome(pair, preference(good, bad), mean))
    return Report(outcomes)


def preference(good: float, bad: float) -> float:
    """1 if the good text has the higher score, 0 if the bad one has, 0.5 if they are equal up to float32 rounding."""
    if good == bad or math.isclose(good, bad, rel_tol=1e-6, abs_tol=1e-6):
        return 0.5
    return float(good > bad)


def wilson(wins: float, pairs: int, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a fraction (Wilson 1927). It stays within [0, 1], also for few pairs and fractions near 1.

    Args:
        wins: Number of successes; ties count half, so it need not be whole.
        pairs: Number of trials, at least 1.
        z: Quantile of the normal distribution; the default gives 95 %.
    """
    fraction = wins / pairs
    centre = (fraction + z * z / (2 * pairs)) / (1 + z * z / pairs)
    half = z / (1 + z * z / pairs) * math.sqrt(fraction * (1 - fraction) / pairs + z * z / (4 * pairs * pairs))
    return max(0.0, centre - half), min(1.0, centre + half)


def band_name(value: int, bands: Sequence[tuple[int, int | None]]) -> str:
    """Name of the band that contains a value, such as "2-9", "0" or "100+"."""
    low, high = next(limits for limits in bands if limits[1] is None or value <= limits[1])
    return f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"


class Report:
    """Accuracies of all suites and of their groups.

    Args:
        outcomes: One for each pair.

    Attributes:
        outcomes: As given.
        rows: The accuracies: for each suite all pairs, then by kind, word length and word frequency.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = list(outcomes)
        self.rows = list(self._rows())

    def _rows(self) -> Iterator[AccuracyRow]:
        """See ``rows``."""
        for suite in dict.fromkeys(outcome.pair.suite for outcome in self.outcomes):
            of_suite = [outcome for outcome in self.outcomes if outcome.pair.suite == suite]
            yield accuracy_row(suite, "all", "all", of_suite)
            kinds = sorted({outcome.pair.kind for outcome in of_suite})
            for kind in kinds if kinds != [suite] else []:
                yield accuracy_row(suite, "kind", kind, [outcome for outcome in of_suite if outcome.pair.kind == kind])
            for by, bands, value_of in (("length", LENGTHS, word_length), ("frequency", FREQUENCIES, word_frequency)):
                groups: dict[int, list[Outcome]] = {}
                for outcome in of_suite:
                    value = value_of(outcome.pair)
                    if value is not None:
                        place = next(at for at, (_, high) in enumerate(bands) if high is None or value <= high)
                        groups.setdefault(place, []).append(outcome)
                for place in sorted(groups):
                    value = bands[place][0]
                    yield accuracy_row(suite, by, band_name(value, bands), groups[place])

    def csv(self) -> str:
        """The rows as CSV with a header."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([AccuracyRow._fields, *self.rows])
        return file.getvalue()

    def markdown(self) -> str:
        """The rows as a Markdown table, in percent."""
        lines = [
            "| test | by | group | pairs | total log p: % (95 %) | mean log p: % (95 %) |",
            "|---|---|---|---:|---|---|",
        ]
        for row in self.rows:
            total = f"{100 * row.accuracy:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})"
            mean = f"{100 * row.accuracy_mean:.1f} ({100 * row.low_mean:.1f} to {100 * row.high_mean:.1f})"
            lines.append(f"| {row.suite} | {row.by} | {row.group} | {row.pairs:,} | {total} | {mean} |")
        return "\n".join(lines) + "\n"


def accuracy_row(suite: str, by: str, group: str, outcomes: Sequence[Outcome]) -> AccuracyRow:
    """The accuracy over at least one outcome."""
    count = len(outcomes)
    total, mean = (sum(outcome[at] for outcome in outcomes) for at in (1, 2))  # type: ignore[misc]
    return AccuracyRow(
        suite, by, group, count, total / count, *wilson(total, count), mean / count, *wilson(mean, count)
    )


def word_length(pair: Pair) -> int | None:
    """Number of letters of the pair's word."""
    return None if pair.word is None else len(pair.word)


def word_frequency(pair: Pair) -> int | None:
    """Occurrences of the pair's word in the training text."""
    return pair.frequency


def distinct(pairs: Iterable[Pair], count: int) -> list[Pair]:
    """The first ``count`` distinct pairs; pairs of two identical texts are left out."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        if pair.good != pair.bad:
            found.setdefault((pair.good, pair.bad), pair)
        if len(found) >= count:
            break
    return list(found.values())
