"""What a set of states stands for: the strings with the same parity whose last bits are the same.

A context is the last M bits. But nets remember long where nothing happens: while one bit is repeated, their slow units
drift. So a run of M equal bits or more is a context of its own for each length, with the bit before it, up to R bits; a
longer run counts as one of R. "^" is the beginning of a string.
"""

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Contexts:
    """The contexts, and how bits lead from one to the next.

    Attributes:
        memory: M, at least 2.
        longest_run: R, at least M.
    """

    memory: int
    longest_run: int

    def of(self, history: str) -> str:
        """The context of a string that begins with "^", or of a context and the bits after it."""
        bit = history[-1]
        run = len(history) - len(history.rstrip(bit))
        if run >= self.longest_run:
            return bit * self.longest_run
        return history[-max(self.memory, run + 1) :]

    def start(self, bits: int) -> list[tuple[bool, str]]:
        """Whether the number of ones is odd, and the context, of all strings of so many bits."""
        words = map("".join, itertools.product("01", repeat=bits))
        return [(word.count("1") % 2 == 1, self.of(f"^{word}")) for word in words]

    def automaton(self) -> dict[tuple[bool, str], list[tuple[bool, str]]]:
        """For each parity and context that can follow the start, what follows it after a 0 and after a 1."""
        found: dict[tuple[bool, str], list[tuple[bool, str]]] = {}
        waiting = list(dict.fromkeys(self.start(self.memory)))
        while waiting:
            odd, context = waiting.pop()
            if (odd, context) not in found:
                after = [(odd ^ (bit == "1"), self.of(context + bit)) for bit in "01"]
                found[odd, context] = after
                waiting += after
        return found
