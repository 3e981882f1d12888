"""Retrieval without parameters: earlier positions with the same context as now, and a head that copies what followed.

A context is compared by keys: whole numbers, one or more for each element of a sequence. The match of two positions has
the length of the longest common suffix of their two contexts: so many elements agree, read backwards. A key below 0
matches nothing. What a Transformer's induction heads learn from much text (Olsson et al. 2022), and copying from the
context learns from some (Vinyals et al., "Pointer Networks", 2015), a few thousand notes do not teach.

B batch, T time, Q keys of an element, K lags: how far back the other position is, from 1 on, M positions retrieved,
V ids.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.precision import at_least_float32

MAX_MATCH = 31  # matches are counted up to this length


class Retrieved(NamedTuple):
    """What followed at earlier matching positions, the best M of them first; (...) are any dimensions.

    Attributes:
        elements: Ids (..., M, F) of F fields; 0 where nothing is retrieved.
        match_lengths: Length of the match in each key, (..., M, Q), at most the lag. All 0 where nothing is retrieved.
        lag_buckets: Distance to the position, as a class, (..., M).
        repeat_buckets: How often what lies between the position and now was repeated, as a class, (..., M).
    """

    elements: Tensor
    match_lengths: Tensor
    lag_buckets: Tensor
    repeat_buckets: Tensor


def match_lengths(keys: Tensor) -> Tensor:
    """For keys (B, T, Q): length of the match of each position with the one each lag before it, (B, T, T - 1, Q)."""
    batch, count, kinds = keys.shape
    lengths = torch.zeros(batch, count, count - 1, kinds, dtype=torch.int32, device=keys.device)
    back = keys.flip(1)
    for step in range(1, count):
        now, then = keys[:, step, None], back[:, count - step :]  # (B, 1, Q), (B, step, Q)
        lengths[:, step, :step] = (lengths[:, step - 1, :step] + 1) * ((now == then) & (now >= 0))
    return lengths.clamp_(max=MAX_MATCH)


def last_match_lengths(keys: Tensor) -> Tensor:
    """:func:`match_lengths` of the last position alone, (B, T - 1, Q)."""
    count, kinds = keys.shape[1:]
    padded = F.pad(keys, (0, 0, MAX_MATCH, 0), value=-1).flip(1)  # the last element first
    agree = torch.ones(len(padded), count - 1, kinds, dtype=torch.int32, device=padded.device)
    lengths = torch.zeros_like(agree)
    for back in range(MAX_MATCH):
        now, then = padded[:, back, None], padded[:, back + 1 : back + count]
        agree = agree * ((now == then) & (now >= 0))
        lengths = lengths + agree
    return lengths


def next_match_lengths(keys: Tensor, before: Tensor) -> Tensor:
    """:func:`last_match_lengths` of keys (B, T, Q), from those of one element less, (B, T - 2, Q)."""
    now, then = keys[:, -1:], keys[:, :-1].flip(1)
    equal = (now == then) & (now >= 0)
    return ((F.pad(before, (0, 0, 0, 1)) + 1) * equal).clamp(max=MAX_MATCH)


def longest_matches(lengths: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The best matches, at most ``size``: the longest by the first key, of equal ones by the second, then the latest.

    Args:
        lengths: Of the match at each lag by two keys, (B, T, K, 2).
        size: M.

    Returns:
        Their lags, from 1 on, (B, T, M), and their lengths (B, T, M, 2). Those without a match, 0 and 0, come last.
    """
    lags = lengths.shape[2]
    sort_key = (lengths[..., 0] * (MAX_MATCH + 1) + lengths[..., 1]) * lags - torch.arange(lags, device=lengths.device)
    sort_key = torch.where(lengths.amax(-1) > 0, sort_key, -lags)
    best = sort_key.topk(min(size, lags)).indices
    return best + 1, lengths.gather(2, best[..., None].expand(*best.shape, 2))


class CopyHead(nn.Module):
    """Scores each retrieved position, and adds its probability to that of the id that followed there.

    Generating and copying share one softmax (CopyNet, Gu et al. 2016): with logits z and the positions' scores s, id v
    has the weight exp(z_v) + Σ exp(s_m), over the positions m that v followed. Six positions that agree thus count as
    six, where their scores, if they were added to z_v, would be raised to the sixth power: the net would then be
    certain of whatever it has just repeated, and never leave a loop.

    A score comes from the lengths of the match in two keys, from further features of the retrieved position, and from
    the net's output, through a small net.

    Args:
        width: Width of the net's output, D.
        categories: Of each feature that is a class: how many classes.
        numbers: How many features are real numbers.
    """

    WIDTH = 32

    def __init__(self, width: int, categories: Sequence[int] = (), numbers: int = 0) -> None:
        super().__init__()
        self.lengths = nn.ModuleList(nn.Embedding(MAX_MATCH + 1, self.WIDTH) for _ in range(2))
        self.categories = nn.ModuleList(nn.Embedding(classes, self.WIDTH) for classes in categories)
        self.numbers = nn.Linear(numbers, self.WIDTH) if numbers else None
        self.query_projection = nn.Linear(width, self.WIDTH)
        self.logit = nn.Sequential(nn.GELU(), nn.Linear(self.WIDTH, self.WIDTH), nn.GELU(), nn.Linear(self.WIDTH, 1))

    def forward(
        self,
        logits: Tensor,
        x: Tensor,
        ids: Tensor,
        lengths: Tensor,
        categories: Sequence[Tensor] = (),
        numbers: Tensor | None = None,
    ) -> Tensor:
        """Logits with what is copied, (..., V), at least float32.

        Args:
            logits: The net's, (..., V).
            x: The net's output, (..., D).
            ids: Retrieved ids, (..., M).
            lengths: Lengths of the match in both keys, (..., M, 2); both 0 where nothing is retrieved. Dimensions of
                size 1 are broadcast.
            categories: Features that are classes, (..., M) each.
            numbers: Features that are real numbers, (..., M, N).
        """
        z = self.lengths[0](lengths[..., 0]) + self.lengths[1](lengths[..., 1])  # (..., M, W)
        for table, classes in zip(self.categories, categories, strict=True):
            z = z + table(classes)
        if self.numbers is not None and numbers is not None:
            z = z + self.numbers(numbers.to(x.dtype))
        z = z + self.query_projection(x)[..., None, :]
        nothing = lengths.amax(-1) == 0
        scores = at_least_float32(self.logit(z).squeeze(-1)).masked_fill(nothing, -math.inf)  # (..., M)
        limits = torch.finfo(scores.dtype)
        most = scores.detach().amax(-1, keepdim=True).clamp(min=limits.min)
        copied = torch.zeros_like(logits, dtype=scores.dtype).scatter_add(-1, ids, (scores - most).exp())  # (..., V)
        added = copied.clamp(min=limits.tiny).log() + most  # the gradient of log(0) would be nan
        return torch.logaddexp(at_least_float32(logits), added.masked_fill(copied == 0, -math.inf))
