"""What files hold, as a few hex digits: equal digests mean equal contents, whatever the names and times are."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

READ_WHOLE = 2**30  # bytes up to which files are read whole: half a second; of more, as many are read
BLOCK = 2**16  # bytes of the pieces that are read of larger files


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits; read again only if the file has changed since this process last did."""
    return _digest(path, *_state(path), share=1.0)


def digest_of_all(paths: Sequence[Path]) -> str:
    """12 hex digits of the sizes and contents of files, in their order.

    Files of more than :data:`READ_WHOLE` bytes in all are read in pieces, which are evenly spread over each of them. A
    change between the pieces is noticed by the size alone then.
    """
    states = [_state(path) for path in paths]
    share = min(1.0, READ_WHOLE / max(1, sum(state[0] for state in states)))
    found = [(state[0], _digest(path, *state, share=share)) for path, state in zip(paths, states, strict=True)]
    return hashlib.sha256(repr(found).encode()).hexdigest()[:12]


def print_of_all(paths: Sequence[Path]) -> str:
    """As :func:`digest_of_all`; of files that are not read whole, the times of change count too.

    For what is kept on one machine. On another one, or of a copy, the times differ.
    """
    states = [_state(path) for path in paths]
    times = [state[1] for state in states] if sum(state[0] for state in states) > READ_WHOLE else []
    return f"{digest_of_all(paths)}-{times}"


def _state(path: Path) -> tuple[int, int, int, int]:
    """Size, time of change, time of the last change of either, and number of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, modified: int, changed: int, number: int, share: float) -> str:
    with path.open("rb") as file:
        if share == 1:
            return hashlib.file_digest(file, "sha256").hexdigest()
        total, pieces = hashlib.sha256(), max(2, int(size * share) // BLOCK)
        for piece in range(pieces):
            file.seek((size - BLOCK) * piece // (pieces - 1) if size > BLOCK else 0, os.SEEK_SET)
            total.update(file.read(BLOCK))
        return total.hexdigest()
