"""Minimal pairs: two texts that differ in one thing, of which a language model should find the good one likelier.

Knows text and a scoring function, so it serves any language model. The idea of the notes is in docs/notes/probes.md.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from seqlight.core.errors import UserError

LogProbs = Callable[[list[str]], list[tuple[float, int]]]
"""Texts to (sum of the log-probabilities of all its tokens, number of tokens) of each."""

LENGTHS = ((1, 3), (4, 5), (6, 7), (8, 9), (10, None))  # letters of a word
FREQUENCIES = ((0, 0), (1, 1), (2, 9), (10, 99), (100, None))  # how often a word stands in the training text
CHUNK = 4096  # texts handed to the scoring function at once, of like lengths


class Pair(NamedTuple):
    """Two texts, and what is known about them.

    Attributes:
        suite: The test it belongs to, "spelling_seen" say; the first part of a metric's name.
        kind: The phenomenon, "transpose" say.
        word: The word that was changed, if it is about one.
        frequency: How often the word stands in the training text, if that is known.
    """

    good: str
    bad: str
    suite: str
    kind: str
    word: str | None = None
    frequency: int | None = None


class Outcome(NamedTuple):
    """A pair's result: 1 for the good text, 0.5 for a tie, 0 for the bad one, by each way of scoring."""

    pair: Pair
    total: float
    mean: float


class Row(NamedTuple):
    """Results of some of the pairs: share won with its 95 % interval, by total and by mean log-probability."""

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


def judge(pairs: Sequence[Pair], log_probs: LogProbs, chunk: int = CHUNK) -> "Report":
    """Has a language model choose between the members of each pair.

    Each different text is scored once, and texts of like length together.

    Args:
        pairs: The pairs; no two members may be identical.
        log_probs: The model, as in :data:`LogProbs`. It is called with up to ``chunk`` texts.
        chunk: How many texts it gets at once, at least 1.

    Raises:
        ValueError: A pair's members are identical, or a score is not a number.
    """
    for pair in pairs:
        if pair.good == pair.bad:
            raise UserError(f"pairs: both members are {pair.good!r} ({pair.suite}, {pair.kind}); leave the pair out")
    texts = sorted({text for pair in pairs for text in pair[:2]}, key=lambda text: (len(text), text))
    scores: dict[str, tuple[float, int]] = {}
    for start in range(0, len(texts), chunk):
        some = texts[start : start + chunk]
        scores.update(zip(some, log_probs(some), strict=True))
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
    """1 if the good text is likelier, 0 if the bad one is, 0.5 for a tie: equal but for rounding in float32."""
    if good == bad or math.isclose(good, bad, rel_tol=1e-6, abs_tol=1e-6):
        return 0.5
    return float(good > bad)


def wilson(wins: float, pairs: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share (Wilson 1927): stays within 0 and 1 and is right for few pairs and for shares near 1.

    Args:
        wins: How many were won; ties count half, so it need not be whole.
        pairs: Out of how many, at least 1.
        z: Quantile of the normal distribution; the default is for 95 %.
    """
    share = wins / pairs
    centre = (share + z * z / (2 * pairs)) / (1 + z * z / pairs)
    half = z / (1 + z * z / pairs) * math.sqrt(share * (1 - share) / pairs + z * z / (4 * pairs * pairs))
    return max(0.0, centre - half), min(1.0, centre + half)


def band(value: int, bands: Sequence[tuple[int, int | None]]) -> str:
    """Name of the band that a number falls into: "2-9", "0", "100+"."""
    low, high = next(limits for limits in bands if limits[1] is None or value <= limits[1])
    return f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"


class Report:
    """What came out, whole and in parts.

    Args:
        outcomes: Results of all pairs.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = list(outcomes)
        self.rows = list(self._rows())

    def _rows(self) -> Iterator[Row]:
        """For each suite: all pairs, then by kind, by word length, by word frequency."""
        for suite in dict.fromkeys(outcome.pair.suite for outcome in self.outcomes):
            mine = [outcome for outcome in self.outcomes if outcome.pair.suite == suite]
            yield summed(suite, "all", "all", mine)
            kinds = sorted({outcome.pair.kind for outcome in mine})
            for kind in kinds if kinds != [suite] else []:
                yield summed(suite, "kind", kind, [outcome for outcome in mine if outcome.pair.kind == kind])
            for by, bands, fact in (("length", LENGTHS, word_length), ("frequency", FREQUENCIES, word_frequency)):
                groups: dict[int, list[Outcome]] = {}
                for outcome in mine:
                    value = fact(outcome.pair)
                    if value is not None:
                        place = next(at for at, (_, high) in enumerate(bands) if high is None or value <= high)
                        groups.setdefault(place, []).append(outcome)
                for place in sorted(groups):
                    value = bands[place][0]
                    yield summed(suite, by, band(value, bands), groups[place])

    def csv(self) -> str:
        """All rows, as CSV with a header."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([Row._fields, *self.rows])
        return file.getvalue()

    def markdown(self) -> str:
        """All rows, as a table in Markdown with percentages."""
        lines = [
            "| test | by | group | pairs | total log p: % (95 %) | mean log p: % (95 %) |",
            "|---|---|---|---:|---|---|",
        ]
        for row in self.rows:
            total = f"{100 * row.accuracy:.1f} ({100 * row.low:.1f} to {100 * row.high:.1f})"
            mean = f"{100 * row.accuracy_mean:.1f} ({100 * row.low_mean:.1f} to {100 * row.high_mean:.1f})"
            lines.append(f"| {row.suite} | {row.by} | {row.group} | {row.pairs:,} | {total} | {mean} |")
        return "\n".join(lines) + "\n"


def summed(suite: str, by: str, group: str, outcomes: Sequence[Outcome]) -> Row:
    """The row of some outcomes, at least one."""
    count = len(outcomes)
    total, mean = (sum(outcome[at] for outcome in outcomes) for at in (1, 2))  # type: ignore[misc]
    return Row(suite, by, group, count, total / count, *wilson(total, count), mean / count, *wilson(mean, count))


def word_length(pair: Pair) -> int | None:
    """Letters of the pair's word."""
    return None if pair.word is None else len(pair.word)


def word_frequency(pair: Pair) -> int | None:
    """How often the pair's word stands in the training text."""
    return pair.frequency


def distinct(pairs: Iterable[Pair], count: int) -> list[Pair]:
    """The first ``count`` pairs that differ from each other and in themselves."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        if pair.good != pair.bad:
            found.setdefault((pair.good, pair.bad), pair)
        if len(found) >= count:
            break
    return list(found.values())
