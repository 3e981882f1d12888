"""The decoding loop: sample the next item of every row, append it, read it, until all rows have ended.

The loop knows neither nets nor probabilities. A :class:`State` reads the items and gives the net's output (state.py);
a :class:`Sampler` makes the next items of that output: tokens (decode.py), or events of several fields (fields.py).

B rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

Item = TypeVar("Item")


class State(Protocol):
    """What has been read of every row."""

    def start(self) -> Any:
        """Reads the prompts. The net's output after each row's last item."""
        ...

    def append(self, ids: Tensor) -> Any:
        """Reads one more item of each row, (B, ...). The net's output after it."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was, for ``rows`` (B',); B' may differ from B."""
        ...


@dataclass
class SamplerOutput(Generic[Item]):
    """The next item of every row.

    Attributes:
        ids: The items as the state reads them, (B, ...).
        items: The items as they are returned, B of them.
        ended: Whether each row ends with its item, B booleans.
        parents: (B,): row i continues row ``parents[i]``, of which there may have been more or fewer than B: for beam
            search, and where rows that have ended leave the batch. None: each row continues itself.
    """

    ids: Tensor
    items: Sequence[Item]
    ended: Sequence[bool]
    parents: Tensor | None = None


class Sampler(Protocol[Item]):
    """Makes the next items of the net's output, once a step."""

    def __call__(self, output: Any, /) -> SamplerOutput[Item]:
        """The next item of every row, those that have ended included: their items are read and not returned.

        A row that has ended stays as it is as long as its parent is an ended row. A sampler whose ``parents`` leave
        rows out keeps the items of these itself.
        """
        ...


def decode(
    state: State,
    sampler: Sampler[Item],
    num_rows: int,
    max_new_items: int,
    stop: Callable[[int, list[Item]], bool] | None = None,
    on_item: Callable[[int, Item], None] | None = None,
) -> list[list[Item]]:
    """The new items of each row.

    Args:
        state: What reads the rows; nothing is read after the last items.
        sampler: What samples the items.
        num_rows: Rows that the state begins with, B.
        max_new_items: Most new items of a row, at least 1.
        stop: Called with a row's index and its new items after each of them; the row ends where it returns true.
        on_item: Called with a row's index and its next item, for all rows of a step before ``stop``.

    Returns:
        B lists, each with the item at which the row ended; the rows are those of the last step. Neither function is
        called for a row that has ended.
    """
    new: list[list[Item]] = [[] for _ in range(num_rows)]
    ended = [False] * num_rows
    output = state.start()
    for step in range(max_new_items):
        sampled = sampler(output)
        if sampled.parents is not None:
            parents = sampled.parents.tolist()
            new, ended = [list(new[parent]) for parent in parents], [ended[parent] for parent in parents]
        going_on = [row for row in range(len(new)) if not ended[row]]
        for row in going_on:
            new[row].append(sampled.items[row])
            if on_item is not None:
                on_item(row, sampled.items[row])
        for row in going_on:
            ended[row] = sampled.ended[row] or (stop is not None and stop(row, new[row]))
        if all(ended) or step + 1 == max_new_items:
            break
        if sampled.parents is not None:
            state.reorder(sampled.parents)
        output = state.append(sampled.ids)
    return new
