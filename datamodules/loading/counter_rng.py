"""Random numbers from counters: a row's content depends on its number and a seed, not on what was drawn before."""

import numpy as np


def random_uint64(seed: int, rows: np.ndarray, count: int) -> np.ndarray:
    """Reproducible random 64-bit words from row numbers: (N,) -> (N, count).

    A word depends on the seed, the row and its position alone, so workers, ranks and resumed runs need no shared state.
    The mixing function is SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), applied to each counter in turn.
    """
    with np.errstate(over="ignore"):
        key = _mix(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
        row_keys = _mix(rows.astype(np.uint64) * np.uint64(0xD1342543DE82EF95) + key)
        positions = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return _mix(row_keys[:, None] + positions)


def _mix(z: np.ndarray | np.uint64) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
