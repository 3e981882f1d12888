"""Finds pairs whose sides are swapped: the text to read where the text to write should be.

Two tests, both made not to misfire. Of whole files: in known languages, frequent words that only one of the two
languages has. Of single pairs: how much more often each word is used on one side of the training pairs than on the
other; a pair is told only if both of its texts clearly belong to the other side.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from seqlight.core.errors import UserError

# Frequent words of some languages; what two languages share does not count where the two are compared.
FREQUENT = {
    "de": "der und ist ein eine mit auf dem einem einer nicht von sich auch",
    "en": "the and is are with of that this from at his her which",
    "fr": "le et est une dans avec les sur qui pour des aux",
    "es": "el y está los las por con una del que",
    "it": "il di è che gli della sono con una nel",
    "nl": "het een van en zijn op niet met voor bij",
    "pt": "o e uma em os não com do da ao",
    "cs": "je se na že jsou který v s z",
}
WORDS = {language: frozenset(words.split()) for language, words in FREQUENT.items()}
FILE_PAIRS = 2_000  # of a file, evenly spaced, for the test of whole files
LEAST_HITS, RATIO = 20, 5  # words of the other language, and how many times as often as those of its own
LEARNED_PAIRS = 20_000  # evenly spaced, of which the words' sides are learned
MOST_ODDS = 4.0  # of one word, in nats
MARGIN = 8.0  # in nats, of each text of a swapped pair
CLEAR = 0.98  # fraction of the training pairs that must be on their own side, else single pairs are not judged


def check_languages(sources: Sequence[str], targets: Sequence[str], source: str, target: str, where: str) -> None:
    """Refuses files of which each is in the other's language, where both are known.

    Raises:
        UserError: They look so.
    """
    known = [WORDS.get(name.lower()[:2]) if len(name) == 2 or name[2:3] in "-_" else None for name in (source, target)]
    if known[0] is None or known[1] is None or known[0] == known[1]:
        return
    step = max(1, len(sources) // FILE_PAIRS)
    swapped = []
    for texts, own, other in ((sources, known[0], known[1]), (targets, known[1], known[0])):
        counts = Counter(word for text in texts[::step] for word in text.lower().split())
        hits, others = (sum(counts[word] for word in words) for words in (own - other, other - own))
        swapped.append(others >= LEAST_HITS and others > RATIO * hits)
    if all(swapped):
        raise UserError(
            f"path: {where}: the sides look swapped, {source} reads like {target} and {target} like {source}; put the "
            "files in their places, or change --data.source and --data.target"
        )


class SideWords:
    """Which side of the training pairs each word belongs to.

    Args:
        sources: Texts of the source side.
        targets: Texts of the target side.
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        step = max(1, len(sources) // LEARNED_PAIRS)
        counts = [
            Counter(word for text in side[::step] for word in text.lower().split()) for side in (sources, targets)
        ]
        words = counts[0].keys() | counts[1].keys()
        sizes = [sum(count.values()) + len(words) for count in counts]
        base = math.log(sizes[1] / sizes[0])
        self._odds = {
            word: max(-MOST_ODDS, min(MOST_ODDS, math.log((counts[0][word] + 1) / (counts[1][word] + 1)) + base))
            for word in words
        }
        right = [self._score(a) > 0 > self._score(b) for a, b in zip(sources[::step], targets[::step], strict=True)]
        self.clear = bool(right) and sum(right) >= CLEAR * len(right)

    def _score(self, text: str) -> float:
        """Log-odds, in nats, that a text is one of the source side; unknown words say nothing."""
        odds = self._odds
        return sum(odds.get(word, 0.0) for word in text.lower().split())

    def swapped(self, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """Which pairs look swapped (N,); none where the two sides have much the same words."""
        if not self.clear:
            return np.zeros(len(sources), dtype=bool)
        found = [
            self._score(source) < -MARGIN and self._score(target) > MARGIN
            for source, target in zip(sources, targets, strict=True)
        ]
        return np.array(found, dtype=bool)
