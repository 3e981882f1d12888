"""Progress bars in the terminal for work that takes longer than a second."""

from collections.abc import Iterable, Iterator
from typing import Any


def progress_bar(total: int, doing: str, unit: str) -> Any:
    """A bar to be used in a ``with``; ``update(count)`` moves it on.

    Args:
        total: Number of units in all.
        doing: The text beside the bar.
        unit: Name of a unit.
    """
    from tqdm import tqdm

    return tqdm(total=total, desc=doing, unit=unit, unit_scale=True, delay=1, disable=None, leave=False)


def with_progress(pieces: Iterable[str], total: int, doing: str) -> Iterator[str]:
    """Passes pieces of text on, with a progress bar.

    Args:
        pieces: Texts.
        total: Number of their characters in all.
        doing: The text beside the bar.
    """
    with progress_bar(total, doing, "char") as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))
