"""Log-probabilities of given tokens under a net that predicts the next one.

B batch, T time, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seqlight.core.labels import IGNORED


class Window(NamedTuple):
    """Ids that the net reads at once.

    Attributes:
        row: Number of the row that they belong to.
        ids: The ids.
        num_scored: How many of them, at the end, are scored.
    """

    row: int
    ids: list[int]
    num_scored: int


def log_prob_sums(
    logits: Callable[[Tensor], Tensor],
    context: Callable[[list[int]], list[int]],
    rows: Sequence[list[int]],
    first: int,
    batch_tokens: int,
    device: torch.device,
) -> list[float]:
    """Sum of the log-probabilities of each row's ids from number ``first`` on, in nats.

    Args:
        logits: Logits (B, T, V) of ids (B, T).
        context: The part of a row's ids that the net reads in generation.
        rows: The ids.
        first: Number of the first id that is scored; those before it are given.
        batch_tokens: Most tokens of a batch, padding included; a window longer than that is a batch by itself.
        device: Where the net is.
    """
    sums = [0.0] * len(rows)
    waiting = [window for row, ids in enumerate(rows) for window in windows(context, ids, first, row)]
    waiting.sort(key=lambda window: -len(window.ids))  # rows of like length share a batch
    while waiting:
        size = max(1, batch_tokens // len(waiting[0].ids))
        batch, waiting = waiting[:size], waiting[size:]
        for window, value in zip(batch, _score(logits, batch, device), strict=True):
            sums[window.row] += value
    return sums


def windows(context: Callable[[list[int]], list[int]], ids: list[int], first: int, row: int) -> list[Window]:
    """Windows that score every id from number ``first`` on once, with the context that generation would give it."""
    if len(context(ids[:-1])) == len(ids) - 1:
        return [Window(row, ids, len(ids) - first)] if len(ids) > first else []
    found: list[Window] = []
    begins = [
        target - len(context(ids[:target])) for target in range(first, len(ids))
    ]  # of the window that predicts id `target`
    for target, begin in enumerate(begins, first):
        if target > first and begins[target - 1 - first] == begin:
            found[-1] = Window(row, ids[begin : target + 1], found[-1].num_scored + 1)
        else:
            found.append(Window(row, ids[begin : target + 1], 1))
    return found


def _score(logits: Callable[[Tensor], Tensor], batch: Sequence[Window], device: torch.device) -> list[float]:
    """Sums of the scored ids' log-probabilities, of windows of which the first is the longest."""
    width = len(batch[0].ids)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width - 1), IGNORED)
    for index, (_, row, count) in enumerate(batch):
        ids[index, : len(row)] = torch.tensor(row)
        labels[index, len(row) - 1 - count : len(row) - 1] = torch.tensor(row[len(row) - count :])
    ids, labels = ids.to(device), labels.to(device)
    losses = F.cross_entropy(logits(ids[:, :-1]).mT.float(), labels, ignore_index=IGNORED, reduction="none")  # (B, T)
    return (-losses.double().sum(1)).tolist()
