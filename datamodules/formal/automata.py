"""Regular languages as finite automata: the state after a symbol, and what is asked of it.

The tasks are those of Delétang et al. (ICLR 2023, "Neural Networks and the Chomsky Hierarchy"), and counting modulo 3,
for which Grazzi et al. (2025) show that a transition needs eigenvalues off the real line.

Q states, V symbols, B rows, T time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqlight.core.labels import IGNORED

NUMBERS = 5  # arithmetic is modulo 5, and the cycle has 5 places, as in Delétang et al.


@dataclass(frozen=True)
class Automaton:
    """A deterministic finite automaton with an answer in each state. State 0 is the start.

    Attributes:
        transitions: The next state, (Q, V).
        answers: The class of each state, (Q,); IGNORED where nothing is asked.
    """

    transitions: np.ndarray
    answers: np.ndarray

    def labels(self, symbols: np.ndarray) -> np.ndarray:
        """The answer after each symbol, (B, T), of symbols (B, T)."""
        state = np.zeros(len(symbols), dtype=np.int64)
        states = np.empty(symbols.shape[::-1], dtype=np.int64)  # (T, B): steps lie together
        for t, now in enumerate(symbols.T):
            states[t] = state = self.transitions[state, now]
        return self.answers[states.T]


def build(start: Any, symbols: str, step: Callable[[Any, str], Any], answer: Callable[[Any], int]) -> Automaton:
    """The automaton of all states that can be reached from the start.

    Args:
        start: The first state; states are values that can be compared.
        symbols: The alphabet.
        step: The state after a symbol.
        answer: The class of a state, or IGNORED.
    """
    states, table = [start], []
    for state in states:  # grows while new states are found
        following = [step(state, symbol) for symbol in symbols]
        states += [new for new in dict.fromkeys(following) if new not in states]
        table.append([states.index(new) for new in following])
    return Automaton(np.array(table), np.array([answer(state) for state in states]))


def count_ones(modulus: int) -> Automaton:
    """How many ones there were, modulo a number; parity is modulo 2."""
    return build(0, "01", lambda count, bit: (count + int(bit)) % modulus, lambda count: count)


def even_pairs() -> Automaton:
    """Is the number of 01 and 10 among neighbours odd (1)? It is if the last symbol differs from the first."""

    def answer(ends: str) -> int:
        return IGNORED if ends == "" else int(ends[0] != ends[-1])

    return build("", "01", lambda ends, bit: (ends + bit)[0] + bit, answer)


def cycle_navigation() -> Automaton:
    """The place on a cycle of five, from place 0, after steps to the left, none, or to the right."""
    return build(0, "-0+", lambda place, step: (place + "-0+".index(step) - 1) % NUMBERS, lambda place: place)


def modular_arithmetic() -> Automaton:
    """The value modulo 5 of numbers joined by +, - and *, where * binds more; asked after each number.

    A state is the sum of the finished terms, the open term, and the operator that waits for a number, if one does.
    """

    def step(state: tuple[int, int, str], symbol: str) -> tuple[int, int, str]:
        total, term, operator = state
        if not symbol.isdigit():
            # A plus or a minus closes the open term; an operator that follows another replaces it.
            return (total, term, "*") if symbol == "*" else ((total + term) % NUMBERS, 0, symbol)
        number = int(symbol)
        value = {"*": term * number, "+": number, "-": -number}.get(operator, number)
        return total, value % NUMBERS, ""

    def answer(state: tuple[int, int, str]) -> int:
        total, term, operator = state
        return IGNORED if operator else (total + term) % NUMBERS

    return build((0, 0, "+"), "01234+-*", step, answer)


def recall(symbols: str) -> Automaton:
    """Which was the first symbol?"""
    return build(
        "", symbols, lambda first, symbol: first or symbol, lambda first: symbols.index(first) if first else IGNORED
    )
