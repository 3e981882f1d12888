"""Batches from streams that never end: the same rows whatever the number of ranks and workers, from any row on.

The rows of all ranks are numbered; row i is the next of stream i % S. Rank r of R takes the rows i with i % R == r, so
that it needs the streams of its own alone, and its workers divide them. As in batches.py, two processes with batch size
B take the same rows as one with 2B.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datamodules.loading.batch_dataset import Batch
from seqlight.core.errors import UserError


class RowStream(Protocol):
    """Rows one after the other, without end.

    Attributes:
        state: Plain data from which the rows go on.
    """

    state: dict[str, Any]

    def seek(self, state: dict[str, Any], taken: int) -> None:
        """Goes to the row after ``taken`` rows, with the state that stood when the last of them was taken."""

    def next(self) -> np.ndarray:
        """The next row."""


class Part(NamedTuple):
    """What one worker gives to a batch.

    Attributes:
        places: Places of its rows in the batch (n,).
        rows: The rows, n of them.
        states: States of the streams whose state has changed, by the stream's number.
        error: What a stream refused; it is raised in the main process, without the worker's traceback.
    """

    places: np.ndarray
    rows: list[np.ndarray]
    states: dict[int, dict[str, Any]]
    error: UserError | None = None


class StreamParts(IterableDataset):
    """The parts of an epoch's batches that one worker makes, one part for each batch.

    Args:
        streams: All streams.
        states: The state of each.
        first: Number of the first row of this rank.
        step: Number of ranks, the distance between the rows of one.
        batch_size: Rows in a batch of this rank.
        batches: Number of batches.
    """

    def __init__(
        self,
        streams: Sequence[RowStream],
        states: Sequence[dict[str, Any]],
        first: int,
        step: int,
        batch_size: int,
        batches: int,
    ) -> None:
        self.streams, self.states, self.first, self.step = streams, states, first, step
        self.batch_size, self.batches = batch_size, batches

    def __iter__(self) -> Iterator[Part]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        known: dict[int, dict[str, Any]] = {}
        for batch in range(self.batches):
            rows = self.first + self.step * np.arange(batch * self.batch_size, (batch + 1) * self.batch_size)
            places = np.flatnonzero(rows % len(self.streams) // self.step % workers == worker)
            part = Part(places, [], {})
            try:
                for row in rows[places].tolist():
                    taken, number = divmod(row, len(self.streams))
                    stream = self.streams[number]
                    if number not in known:
                        known[number] = self.states[number]
                        stream.seek(self.states[number], taken)
                    part.rows.append(stream.next())
                    if stream.state is not known[number]:
                        known[number] = part.states[number] = stream.state
            except UserError as error:
                part = part._replace(error=error)
            yield part


class StreamLoader:
    """The training batches of one rank, epoch after epoch.

    Args:
        streams: All streams, a multiple of the number of ranks.
        states: The state of each, to start at.
        batch_size: Rows in a batch of one rank.
        batches: Batches in an epoch.
        collate: Makes a batch of the rows' numbers (B,) and the rows (B, ...).
        position: Epoch, and number of its batches that are done, to start at.
        rows: Number of rows of all ranks that are done.
        repeat: Repeat the first epoch (the Trainer's ``overfit_batches``).
        num_workers: Processes that make rows; at most one a stream is used.
        num_replicas: Number of ranks.
        rank: Number of this rank.

    Attributes:
        position: Epoch, and number of its batches that are done.
        rows: Number of rows of all ranks that are done.
        states: State of each stream; those of this rank's streams are up to date.
    """

    def __init__(
        self,
        streams: Sequence[RowStream],
        states: Sequence[dict[str, Any]],
        batch_size: int,
        batches: int,
        collate: Callable[[np.ndarray, np.ndarray], Batch],
        *,
        position: tuple[int, int] = (0, 0),
        rows: int = 0,
        repeat: bool = False,
        num_workers: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.streams, self.states, self.rows = streams, list(states), rows
        self.batch_size, self.batches, self.collate, self.repeat = batch_size, batches, collate, repeat
        self.num_replicas, self.rank = num_replicas, rank
        self.num_workers = min(num_workers, len(streams) // num_replicas)
        self.position = self._next = position
        self._start = (list(states), rows)

    def __len__(self) -> int:
        return self.batches

    @property
    def global_size(self) -> int:
        """Rows of a batch over all ranks."""
        return self.batch_size * self.num_replicas

    def __iter__(self) -> Iterator[Batch]:
        """The next epoch's batches. An iterator from which no batch is drawn takes no epoch (see batches.py)."""
        epoch, done = self._next
        if done >= self.batches:
            epoch, done = epoch + 1, 0
        # Lightning stops after the last batch and never exhausts the iterator: the next epoch is set here.
        self.position, self._next = (epoch, done), (epoch + 1, 0)
        if self.repeat:
            self.states, self.rows = list(self._start[0]), self._start[1]
        count, first = self.batches - done, self.rows + self.rank
        parts = DataLoader(
            StreamParts(self.streams, list(self.states), first, self.num_replicas, self.batch_size, count),
            batch_size=None,
            num_workers=self.num_workers,
            collate_fn=_unchanged,  # type: ignore[arg-type]  # without batches it gets single parts
            generator=torch.Generator(),  # of its own: iterating must not draw from the global one
        )
        made = iter(parts)
        for _ in range(count):
            rows = [np.zeros(0)] * self.batch_size
            for _worker in range(max(1, self.num_workers)):
                part = next(made)
                if part.error is not None:
                    raise part.error
                for place, row in zip(part.places, part.rows, strict=True):
                    rows[place] = row
                for number, state in part.states.items():
                    self.states[number] = state
            numbers = self.rows + self.rank + self.num_replicas * np.arange(self.batch_size)
            self.position = (self.position[0], self.position[1] + 1)
            self.rows += self.global_size
            yield self.collate(numbers, np.stack(rows))

    def state_dict(self) -> dict[str, int]:
        """The position. The datamodule saves it; to Lightning the method's presence says that this loader resumes."""
        epoch, done = self.position
        return {"epoch": epoch, "batch": done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Does nothing: the datamodule has given the position to the constructor."""


def _unchanged(part: Part) -> Part:
    return part
