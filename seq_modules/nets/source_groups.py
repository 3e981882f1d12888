"""Which source each row of a decoding batch reads: beams of one source share what has been made of it."""

from collections.abc import Sequence


class SourceGroups:
    """Rows in runs of equal length, one run a source, as beams lie.

    What a net computes of the sources then needs no copy for each beam, and none for each step: it lies there once a
    source, and a run's rows read it together. Rows that do not lie so become a run each.

    Args:
        num_sources: Sources, with one row each to begin with.

    Attributes:
        rows_per_source: Rows of a run.
    """

    def __init__(self, num_sources: int) -> None:
        self.rows_per_source, self._of_row = 1, list(range(num_sources))

    def reorder(self, rows: Sequence[int]) -> list[int] | None:
        """Row i becomes what row ``rows[i]`` was; there may be more or fewer than before.

        Returns:
            The sources to take, in order, each with a run of :attr:`rows_per_source` rows; None: those that are there.
        """
        before = len(self._of_row) // self.rows_per_source
        wanted = [self._of_row[row] for row in rows]
        if wanted == self._of_row:
            return None
        width = next((index for index, source in enumerate(wanted) if source != wanted[0]), len(wanted))
        sources = wanted[::width]
        if wanted != [source for source in sources for _ in range(width)]:
            width, sources = 1, wanted
        self.rows_per_source, self._of_row = width, [index for index in range(len(sources)) for _ in range(width)]
        return None if sources == list(range(before)) else sources
