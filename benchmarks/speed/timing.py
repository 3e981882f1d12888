"""Timing of several programs that do the same work, and the cells of a table that compares them.

All programs run in one process, one after another in every round, so that a slow moment of the machine affects them
all. Speeds are compared within a round. A table has the median over the rounds, with the smallest and largest.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
Rounds = Sequence[Mapping[str, float]]
"""For each round, name of a program -> seconds. A round may leave programs out."""


def seconds(run: Callable[[], object], times: int = 1, clock: Clock = time.perf_counter) -> float:
    """Mean seconds of one of several calls."""
    start = clock()
    for _ in range(times):
        run()
    return (clock() - start) / times


def time_rounds(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    fewer: Mapping[str, int] | None = None,
    clock: Clock = time.perf_counter,
) -> Rounds:
    """Times each program once in every round.

    Args:
        runs: Name of a program -> a call of it.
        rounds: Number of rounds.
        fewer: Number of rounds of slow programs, the first ones.
        clock: What tells the time.
    """
    limits = fewer or {}
    return [
        {name: seconds(run, clock=clock) for name, run in runs.items() if number < limits.get(name, rounds)}
        for number in range(rounds)
    ]


def median(rounds: Rounds, name: str) -> float:
    """Median seconds of a program."""
    return statistics.median(taken[name] for taken in rounds if name in taken)


def speed(rounds: Rounds, name: str, base: str, form: str = ".2f") -> str:
    """A cell of the table: how many times as fast as ``base`` a program is, over the rounds that have both."""
    if name == base:
        return "1"
    return spread([taken[base] / taken[name] for taken in rounds if name in taken and base in taken], form)


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """A cell of the table: the median, with the smallest and the largest value."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
