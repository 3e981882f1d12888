"""What precedes each token of a text, as hashes: the last tokens, and the last words without what lies between them.

N tokens, C contexts. A hash is the polynomial Σ x_i F^(t - i) of the tokens x_i before position t, modulo 2^64. It does
not depend on where in a text the tokens stand. It comes for all positions at once from the sums
S_t = Σ x_i F^(-i), i < t, as (S_t - S_s) F^t for the tokens from position s on.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from seq_modules.nets.hashing.word_hashes import SEPARATOR, word_symbols

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

FACTOR = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64


def powers(base: int, count: int) -> Hashes:
    """base^0 ... base^(count - 1) modulo 2^64."""
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.multiply.accumulate(factors)


class Polynomials:
    """Hashes of any run of a text's symbols.

    Args:
        symbols: What is hashed at each position, (N,), above 0; 0 adds nothing.
    """

    def __init__(self, symbols: IntArray) -> None:
        counted = symbols > 0
        self.exponents = np.concatenate([[0], counted.cumsum()])  # symbols before each position, (N + 1,)
        size = len(symbols) + 1
        terms = symbols.astype(np.uint64) * powers(pow(FACTOR, -1, 2**64), size)[self.exponents[:-1]]
        self.sums = np.concatenate([np.zeros(1, np.uint64), terms.cumsum(dtype=np.uint64)])
        self.powers = powers(FACTOR, size)

    def between(self, starts: IntArray, ends: IntArray) -> Hashes:
        """Hashes of the symbols from each of ``starts`` (M,) to before each of ``ends`` (M,)."""
        return (self.sums[ends] - self.sums[starts]) * self.powers[self.exponents[ends]]


def token_contexts(ids: IntArray, orders: Sequence[int], first: int = 0) -> Iterator[Hashes]:
    """For each order n, hashes (N - first + 1,) of the n tokens before each position from ``first`` to the text's end.

    Near the beginning of the text there are fewer tokens.

    Args:
        ids: The text, (N,).
        orders: Numbers of tokens.
        first: The first position.
    """
    positions = np.arange(first, len(ids) + 1)
    polynomials = Polynomials(ids + 1)
    for order in orders:
        yield polynomials.between(np.maximum(positions - order, 0), positions)


class WordContexts:
    """Hashes of the word that is being written, alone and with the words before it, in lower case.

    Words are those of :func:`seq_modules.nets.hashing.word_hashes.word_symbols`. Of what lies between two words, only
    that it is there counts: "the king" and "the,\\n king" are the same.

    Args:
        pieces: The text of each token of the vocabulary.
        words: For each context, how many whole words before the one that is being written.
    """

    def __init__(self, pieces: Sequence[str], words: Sequence[int]) -> None:
        self.words = words
        self.symbols, self.opens = (each.numpy() for each in word_symbols(pieces))

    def __call__(self, ids: IntArray, first: int = 0) -> Iterator[Hashes]:
        """For each context, hashes (N - first + 1,) of what precedes each position from ``first`` to the text's end."""
        size = len(ids)
        letters = self.symbols[ids] > 0
        after_letter = np.concatenate([[False], letters])  # (N + 1,)
        opening = letters & (~after_letter[:-1] | self.opens[ids])
        between = ~letters & after_letter[:-1]
        symbols = np.where(letters, self.symbols[ids], np.where(between, SEPARATOR, 0))
        polynomials = Polynomials(symbols)
        positions = np.arange(size)
        # The last word that begins before each position, (N + 1,); 0 where there is none.
        begun = np.concatenate([[0], np.maximum.accumulate(np.where(opening, positions, 0))])
        ends = np.arange(first, size + 1)
        starts = np.where(after_letter[ends], begun[ends], ends)
        reached = 0
        for count in self.words:
            for _ in range(count - reached):
                starts = begun[starts]
            reached = count
            yield polynomials.between(starts, ends) + after_letter[ends]


Contexts = Callable[[IntArray, int], Iterator[Hashes]]
