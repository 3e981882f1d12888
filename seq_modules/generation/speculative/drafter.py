"""Guesses of a text's next tokens, from n-grams: what followed them in the text so far, or in another text."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

LONGEST = 6  # tokens of the longest n-gram that is looked up
FACTOR, MASK = 1000003, (1 << 31) - 1  # of the hashes
REPEATED = 2  # times that a token must have followed an n-gram of the other text

Ids = TypeVar("Ids", int, Tensor)


class NgramDrafter:
    """Proposes the token that followed the longest n-gram in which a row ends (Saxena 2023, prompt lookup).

    It looks among all rows, prompts and continuations. N-grams are known by their hashes: two that share one cost a
    wrong guess now and then, and nothing else.

    Args:
        followers: What follows n-grams in another text, of :func:`common_followers`. It goes before what followed an
            n-gram of the same length in the rows so far.
    """

    def __init__(self, followers: dict[int, int] | None = None) -> None:
        self.followers = {} if followers is None else followers
        self.seen: dict[int, int] = {}  # by the n-gram's hash, the token that followed it first
        self.lengths: defaultdict[int, int] = defaultdict(int)  # tokens of each row that have been read

    def draft(self, row: int, ids: Sequence[int], count: int) -> list[int]:
        """Guesses of a row's next tokens, at most ``count``; fewer where no n-gram is known.

        Args:
            row: Its number.
            ids: Its tokens: those of the last call, and what came after them.
            count: Most guesses.
        """
        for position in range(max(1, self.lengths[row]), len(ids)):
            for ngram in hashes_before(ids, position):
                self.seen.setdefault(ngram, ids[position])
        self.lengths[row] = len(ids)
        text = list(ids[-LONGEST:])
        begin = len(text)
        for _ in range(count):
            best = None
            for ngram in hashes_before(text, len(text)):
                token = self.followers.get(ngram, self.seen.get(ngram))
                if token is None:  # longer n-grams are not known either
                    break
                best = token
            if best is None:
                break
            text.append(best)
        return text[begin:]


def hashes_before(ids: Sequence[int], position: int) -> Iterator[int]:
    """Hashes of the n-grams that end before a position, the shortest first."""
    ngram = 0
    for order in range(1, min(LONGEST, position) + 1):
        ngram = lengthened(ngram, ids[position - order])
        yield ngram


def lengthened(ngram: Ids, token: Ids) -> Ids:
    """The hash of an n-gram with one more token at its beginning, of 31 bits."""
    return (ngram * FACTOR + token + 1) & MASK


def common_followers(ids: Tensor) -> dict[int, int]:
    """By the hash of every n-gram, the token that followed it most often, where that was :data:`REPEATED` times.

    Args:
        ids: A text, (N,), integers below 2³¹.
    """
    found: dict[int, int] = {}
    ngrams = torch.zeros_like(ids)  # the hash of what ends before each token that has as much before it
    for order in range(1, min(LONGEST, len(ids) - 1) + 1):
        ngrams = lengthened(ngrams[1:], ids[:-order])  # (N - order,)
        pairs, counts = (ngrams << 31 | ids[order:]).unique(return_counts=True)
        pairs, counts = pairs[counts >= REPEATED], counts[counts >= REPEATED]
        pairs = pairs[counts.argsort(stable=True)]  # the most frequent last, so that it stays
        found.update(zip((pairs >> 31).tolist(), (pairs & MASK).tolist(), strict=True))
    return found
