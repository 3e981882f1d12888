"""The tasks: what strings are drawn, and what is asked where.

B rows, T time, n length of a string.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.formal import automata
from datamodules.formal.automata import Automaton
from seqlight.core.labels import IGNORED

Task = Literal[
    "parity",
    "even_pairs",
    "modular_arithmetic",
    "cycle_navigation",
    "count_modulo_3",
    "recall",
    "bucket_sort",
    "reverse",
]


@dataclass(frozen=True)
class Recognition:
    """A question about the string so far, which an automaton answers after each symbol.

    Attributes:
        alphabet: The symbols of the strings.
        places: The symbols that may stand at each place of a string; after the last entry comes the first again.
        automaton: The answers.
        examples: Strings for ``predict``.
    """

    alphabet: str
    places: tuple[str, ...]
    automaton: Automaton
    examples: tuple[str, ...]

    @property
    def vocab_size(self) -> int:
        """The alphabet's size."""
        return len(self.alphabet)

    @property
    def num_classes(self) -> int:
        """One more than the largest answer."""
        return int(self.automaton.answers.max()) + 1

    def read(self, symbols: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What a net reads and is asked: the strings themselves.

        Args:
            symbols: Strings, (B, n); what stands behind a string's length does not matter.
            lengths: Their lengths, (B,).

        Returns:
            Inputs (B, T), their true lengths (B,), and labels (B, T), IGNORED where nothing is asked and at padding.
        """
        true = np.arange(symbols.shape[1]) < lengths[:, None]
        symbols = np.where(true, symbols, 0)
        return symbols, lengths, np.where(true, self.automaton.labels(symbols), IGNORED)


@dataclass(frozen=True)
class Transduction:
    """A string is to be written anew: read it, then as many blanks, and answer at the blanks (Delétang et al. 2023).

    Attributes:
        alphabet: See Recognition, as ``places`` and ``examples``.
        solve: The string to write, (n,) symbols of (n,) symbols.
    """

    alphabet: str
    places: tuple[str, ...]
    solve: Callable[[np.ndarray], np.ndarray]
    examples: tuple[str, ...]

    @property
    def vocab_size(self) -> int:
        """The alphabet and the blank, which is the last symbol."""
        return len(self.alphabet) + 1

    @property
    def num_classes(self) -> int:
        """The alphabet's size."""
        return len(self.alphabet)

    def read(self, symbols: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Recognition.read`: the strings, each with its blanks."""
        inputs = np.zeros((len(symbols), 2 * symbols.shape[1]), dtype=np.int64)
        labels = np.full_like(inputs, IGNORED)
        for row, (string, length) in enumerate(zip(symbols, lengths.tolist(), strict=True)):
            inputs[row, :length] = string[:length]
            inputs[row, length : 2 * length] = len(self.alphabet)
            labels[row, length : 2 * length] = self.solve(string[:length])
        return inputs, 2 * lengths, labels


FormalTask = Recognition | Transduction

TASKS: dict[Task, FormalTask] = {
    "parity": Recognition("01", ("01",), automata.count_ones(2), ("0", "1", "10110", "1" * 41)),
    "even_pairs": Recognition("01", ("01",), automata.even_pairs(), ("0", "01", "001110", "0101001")),
    "modular_arithmetic": Recognition(
        "01234+-*", ("01234", "+-*"), automata.modular_arithmetic(), ("3", "1+2*3", "1-1-1", "0*1+4*3-2")
    ),
    "cycle_navigation": Recognition("-0+", ("-0+",), automata.cycle_navigation(), ("+", "+-0--", "+++-", "+" * 41)),
    "count_modulo_3": Recognition("01", ("01",), automata.count_ones(3), ("0", "1", "10110", "1" * 41)),
    "recall": Recognition("0123", ("0123",), automata.recall("0123"), ("0", "3120", "1" + "0" * 40)),
    "bucket_sort": Transduction("01234", ("01234",), np.sort, ("1", "10204112", "43210")),
    "reverse": Transduction("01", ("01",), np.flip, ("1", "011010", "1000")),
}


def draw(places: Sequence[str], alphabet: str, words: np.ndarray) -> np.ndarray:
    """Symbols (B, n) of random 64-bit words (B, n), at each place uniform over the symbols that may stand there."""
    symbols = np.empty(words.shape, dtype=np.int64)
    for start, allowed in enumerate(places):
        choices = np.array([alphabet.index(symbol) for symbol in allowed])
        drawn = (words[:, start :: len(places)] >> np.uint64(32)).astype(np.int64)  # of 32 bits
        symbols[:, start :: len(places)] = choices[drawn * len(allowed) >> 32]
    return symbols
