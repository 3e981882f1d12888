"""Counts of what followed each context, combined as Kneser and Ney (1995) do, and learned a token at a time.

Level l, from 0 (no context) to C, knows a context by its hash. With the counts c of the tokens after it, their sum N,
the number T of tokens that have one, and the level's discount D, its estimate is

    p_l(w) = (max(c(w) - D, 0) + D T p_{l-1}(w)) / N,

and p_{l-1}(w) where the context is new; p_{-1} is uniform. A level below another counts a token only where it is new
at the level above (continuation counts). D = n_1 / (n_1 + 2 n_2), n_i the number of counts that are i.

V vocabulary, N tokens, C contexts.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seq_modules.adaptation.contexts import Hashes, IntArray

Array = np.ndarray[Any, np.dtype[np.float32]]


class Level:
    """Counts of the tokens after the contexts of one level.

    What a text at the beginning taught lies in sorted arrays, which are small and made at once. A context that learns
    more has its counts copied.
    """

    def __init__(self) -> None:
        self.contexts = np.zeros(0, np.uint64)  # sorted, each once
        self.starts = np.zeros(1, np.int64)  # where the tokens of each context begin; the last entry is their end
        self.tokens = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.float32)
        # By the context's hash: its only token, seen once; or its tokens and their counts.
        self.learned: dict[int, int | tuple[IntArray, Array]] = {}
        self.ones, self.twos = 0, 0  # counts that are 1, and 2

    def fill(self, hashes: Hashes, tokens: IntArray) -> IntArray:
        """Counts the tokens (N,) after contexts (N,) at once.

        Returns:
            Positions (M,) at which a token was new after its context: those that the level below counts.
        """
        order = np.lexsort((tokens, hashes))  # stable: of equal pairs, the first in the text comes first
        hashes, tokens = hashes[order], tokens[order]
        other = hashes[1:] != hashes[:-1]
        begins = np.flatnonzero(np.concatenate([[True], other | (tokens[1:] != tokens[:-1])]))
        heads = np.flatnonzero(np.concatenate([[True], other]))
        self.contexts, self.tokens = hashes[heads], tokens[begins]
        self.starts = np.append(np.searchsorted(begins, heads), len(begins))
        self.counts = np.diff(begins, append=len(tokens)).astype(np.float32)
        self.ones, self.twos = int((self.counts == 1).sum()), int((self.counts == 2).sum())
        return np.sort(order[begins])

    @property
    def discount(self) -> float:
        """D; 0.5 as long as nothing is known."""
        return (self.ones + 1) / (self.ones + 2 * self.twos + 2)

    def find(self, hashes: Hashes) -> IntArray:
        """Number of each context (N,) among the sorted ones; -1 for those that are not among them."""
        if not len(self.contexts):
            return np.full(len(hashes), -1)
        at = np.minimum(np.searchsorted(self.contexts, hashes), len(self.contexts) - 1)
        return np.where(self.contexts[at] == hashes, at, -1)

    def row(self, context: int, context_index: int) -> int | tuple[IntArray, Array] | None:
        """A context's only token, or its tokens and their counts; None where it is new.

        Args:
            context: Its hash.
            context_index: What :meth:`find` says of it.
        """
        if (row := self.learned.get(context)) is None and context_index >= 0:
            part = slice(self.starts[context_index], self.starts[context_index + 1])
            return self.tokens[part], self.counts[part]
        return row

    def add(self, context: int, context_index: int, token: int) -> bool:
        """Counts a token after a context; whether it was new there."""
        row = self.row(context, context_index)
        if row is None:
            self.learned[context] = token
            self.ones += 1
            return True
        if isinstance(row, int):
            row = np.array([row]), np.ones(1, np.float32)
        tokens, counts = row
        if context not in self.learned:
            counts = counts.copy()
        index = np.flatnonzero(tokens == token)
        if len(index):
            counts[index] += 1
            before = counts[index[0]] - 1
            self.ones -= before == 1
            self.twos += int(before == 1) - int(before == 2)
        else:
            tokens, counts = np.append(tokens, token), np.append(counts, np.float32(1))
            self.ones += 1
        self.learned[context] = tokens, counts
        return not len(index)


class CountModel:
    """Kneser-Ney estimates at C contexts, each of which backs off to the one before it.

    Args:
        vocab_size: V.
        num_contexts: C.
    """

    def __init__(self, vocab_size: int, num_contexts: int) -> None:
        self.levels = [Level() for _ in range(num_contexts + 1)]
        self.uniform = np.full(vocab_size, 1 / vocab_size, np.float32)

    def fill(self, contexts: Sequence[Hashes], tokens: IntArray) -> None:
        """Counts a whole text at once, before anything else is learned.

        Args:
            contexts: C arrays (N,), what precedes each token.
            tokens: The tokens, (N,).
        """
        if not len(tokens):
            return
        positions = np.arange(len(tokens))
        for level, hashes in zip(self.levels[:0:-1], reversed(contexts), strict=True):
            positions = positions[level.fill(hashes[positions], tokens[positions])]
        self.levels[0].fill(np.zeros(len(positions), np.uint64), tokens[positions])

    def find(self, contexts: Iterable[Hashes]) -> list[list[tuple[int, int]]]:
        """For each of N positions, the contexts as :meth:`estimates` and :meth:`learn` read them.

        Args:
            contexts: C arrays (N,).
        """
        hashes = list(contexts)
        none = np.zeros(len(hashes[0]), np.uint64)
        found = [
            list(zip(each.tolist(), level.find(each).tolist(), strict=True))
            for level, each in zip(self.levels, [none, *hashes], strict=True)
        ]
        return [list(lookup) for lookup in zip(*found, strict=True)]

    def estimates(self, lookup: Sequence[tuple[int, int]]) -> tuple[Array, int]:
        """Probabilities (C, V) of the next token at each context, and the number of known contexts, 0 to C.

        Args:
            lookup: What precedes the token, one entry of :meth:`find`.
        """
        found = np.empty((len(self.levels) - 1, len(self.uniform)), np.float32)
        p, known = self.uniform, 0
        for number, (level, (context, context_index)) in enumerate(zip(self.levels, lookup, strict=True)):
            row = level.row(context, context_index)
            if row is not None:
                known, discount = number, level.discount
                if isinstance(row, int):
                    p = discount * p
                    p[row] += 1 - discount
                else:
                    tokens, counts = row
                    total = counts.sum()
                    p = (discount * len(tokens) / total) * p
                    p[tokens] += (counts - discount) / total
            if number:
                found[number - 1] = p
        return found, known

    def learn(self, lookup: Sequence[tuple[int, int]], token: int) -> None:
        """Counts a token.

        Args:
            lookup: What precedes it, one entry of :meth:`find`.
            token: The token.
        """
        for level, (context, context_index) in zip(reversed(self.levels), reversed(lookup), strict=True):
            if not level.add(context, context_index, token):
                return
