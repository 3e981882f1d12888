"""What the events before say about the next note without any parameter: intervals, scale, metre, matching contexts.

Music repeats itself, at other pitches as often as at the same. So the events are also read as intervals, and what
followed at an earlier position with the same intervals (nets/retrieval.py), moved to the present pitch, is a guess at
what follows.

B batch, T time, F fields of an event, M positions retrieved, K lags: how far back an event is, from 1 on, N = K + 1.
"""

from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.retrieval import (
    Retrieved,
    last_match_lengths,
    longest_matches,
    match_lengths,
    next_match_lengths,
)

LAGS = 16  # buckets of lags, half an octave each: 1, 2, 3 to 4, ... up to 181 and beyond
REPEATS = 8  # buckets of how often a phrase was repeated: 0, 1, ... up to 7 times and more
INTERVALS = 2  # pitches back to which intervals are taken
RECENT = 32  # events back from which scale and metre are counted, beside those of all events
PERIODS = (24, 48, 72, 96, 144)  # ticks after which a rhythm may begin anew: from a quarter to six of them
GRID = 6  # ticks of a bin within them, a sixteenth
METRE_BINS = sum(PERIODS) // GRID  # of all periods together
PROFILE = 2 * (12 + METRE_BINS)  # numbers that describe scale and metre
CELLS = 1 << 22  # cells of T × T that are worked on at once
NO_PITCH = -1  # the anchor where nothing has sounded yet
NO_MATCH = -1  # the key of an event that matches nothing
NO_INTERVAL = 1 << 12  # an interval that is none
RADIX = 1 << 16  # more than the ids of a field
ALL = slice(None)  # rows


class EventFeatures(NamedTuple):
    """What the context gives the heads before the next event; (...) is every step, or one. None: not used.

    Attributes:
        anchor: Id of the last pitch, (...); -1 where there is none.
        profile: Scale and metre of the piece, (..., PROFILE); see :meth:`EventContext.profiles`.
        retrieved: What followed at earlier matching positions.
    """

    anchor: Tensor | None = None
    profile: Tensor | None = None
    retrieved: Retrieved | None = None

    def select(self, key: Any) -> "EventFeatures":
        """The features of the rows and steps that an index picks."""
        return EventFeatures(
            None if self.anchor is None else self.anchor[key],
            None if self.profile is None else self.profile[key],
            None if self.retrieved is None else Retrieved(*(part[key] for part in self.retrieved)),
        )


class EventContext:
    """Events (B, N, F) with their intervals, counts and keys.

    The field of the pitch is followed by that of the duration. Rows may be padded with ids 0 on the left, or on the
    right, where the results mean nothing.

    Attributes:
        events: Ids (B, N, F).
        anchors: Id of the last pitch up to and with each event, (B, N); -1 where there is none.
        keys: Two numbers for each event that do not depend on the musical key, (B, N, 2): of its fields up to the
            duration with the interval in place of the pitch, and of the interval alone. Special tokens
            (ids 0 and 1 of the first field; signatures) match nothing.
        counts: How often each pitch class has sounded, (B, N, 12), the first being that of id 0.
        clock: Ticks after each event, (B, N): when the next one begins or, with shifts, when this one began.
        onset_counts: How many notes have begun in each bin of each of the PERIODS, (B, N, METRE_BINS).

    Args:
        events: As the attribute.
        first_pitch: The smallest id of the field pitch that is one; those below are rests and special tokens.
        last_pitch: The greatest; those above are special tokens too.
        ticks: How far each id of the field duration (with shifts: shift) moves the clock on, (V,); 24 to the quarter.
            None: no metre is counted.
        pitch: Number of the field of the pitch: 0 where the first field is no shift. Default: the last but one.
    """

    def __init__(
        self,
        events: Tensor,
        first_pitch: int,
        last_pitch: int,
        ticks: Tensor | None = None,
        pitch: int | None = None,
    ) -> None:
        self.events, self.first_pitch, self.last_pitch, self.ticks = events, first_pitch, last_pitch, ticks
        self.pitch = events.shape[-1] - 2 if pitch is None else pitch
        positions, pitches = torch.arange(events.shape[1], device=events.device), events[..., self.pitch]
        last = torch.where(self._sounding(events), positions, NO_PITCH).cummax(1).values
        self.anchors = torch.where(last >= 0, pitches.gather(1, last.clamp(min=0)), NO_PITCH)
        before = F.pad(self.anchors, (1, 0), value=NO_PITCH)[:, :-1]
        self.keys = self._keys(events, before)
        self.counts = self._classes(events).cumsum(1)
        self.clock = self._moved(events).cumsum(1)
        self.onset_counts = self._onset_one_hot(events, self.clock).cumsum(1)

    def append(self, event: Tensor) -> None:
        """Appends one event to each row, (B, F)."""
        pitch, before = event[:, None, self.pitch], self.anchors[:, -1:]
        anchor = torch.where(self._sounding(event[:, None]), pitch, before)
        self.events = torch.cat((self.events, event[:, None]), dim=1)
        self.anchors = torch.cat((self.anchors, anchor), dim=1)
        self.keys = torch.cat((self.keys, self._keys(event[:, None], before)), dim=1)
        self.counts = torch.cat((self.counts, self.counts[:, -1:] + self._classes(event[:, None])), dim=1)
        self.clock = torch.cat((self.clock, self.clock[:, -1:] + self._moved(event[:, None])), dim=1)
        one_hot = self._onset_one_hot(event[:, None], self.clock[:, -1:])
        self.onset_counts = torch.cat((self.onset_counts, self.onset_counts[:, -1:] + one_hot), dim=1)

    def _keys(self, events: Tensor, before: Tensor) -> Tensor:
        """Keys (B, N, 2) of events (B, N, F) that follow the anchors ``before`` (B, N)."""
        pitches = events[..., self.pitch]
        moved = torch.where(before >= 0, pitches - before, NO_INTERVAL) + 2 * NO_INTERVAL  # positive, and no rest
        whole = interval = torch.where(self._sounding(events), moved, pitches)
        for field in (*range(self.pitch), self.pitch + 1):
            whole = whole * RADIX + events[..., field]
        special = (events[..., :1] < 2) | (pitches > self.last_pitch)[..., None]
        return torch.stack((whole, interval), dim=-1).masked_fill(special, NO_MATCH)

    def intervals(self) -> Tensor:
        """From the pitch before the last one, and from the one before that, to the last: semitones, (B, N, INTERVALS).

        A rest repeats the pitch before it. ``NO_INTERVAL`` where there is no such pitch.
        """
        found = []
        for back in range(1, INTERVALS + 1):
            earlier = F.pad(self.anchors, (back, 0), value=NO_PITCH)[:, : self.anchors.shape[1]]
            known = (self.anchors >= 0) & (earlier >= 0)
            found.append(torch.where(known, self.anchors - earlier, NO_INTERVAL))
        return torch.stack(found, dim=-1)

    def _sounding(self, events: Tensor) -> Tensor:
        """Whether events (..., F) are notes, (...)."""
        pitches = events[..., self.pitch]
        return (pitches >= self.first_pitch) & (pitches <= self.last_pitch)

    def _classes(self, events: Tensor) -> Tensor:
        """One at the pitch class of each event, (B, N, 12); nothing at those without a pitch."""
        pitches = events[..., self.pitch]
        return F.one_hot(pitches % 12, 12) * self._sounding(events)[..., None]

    def _moved(self, events: Tensor) -> Tensor:
        """Ticks by which each event moves the clock on, (B, N)."""
        if self.ticks is None:
            return torch.zeros_like(events[..., 0])
        return self.ticks[events[..., 0 if self.pitch else 1]]

    def _onset_one_hot(self, events: Tensor, clock: Tensor) -> Tensor:
        """One in each event's bin of each period, (B, N, METRE_BINS), of the clock (B, N) after it; none for a rest."""
        began = clock if self.pitch else clock - self._moved(events)
        periods, begins = _periods(clock.device)
        bins = begins + began[..., None] % periods // GRID  # (B, N, periods)
        one_hot = torch.zeros(*began.shape, METRE_BINS, dtype=torch.long, device=clock.device)
        return one_hot.scatter_(-1, bins, self._sounding(events)[..., None].long().expand(bins.shape))

    def profiles(self, last: int) -> Tensor:
        """Scale and metre after each of the ``last`` events, (B, T, PROFILE).

        First √12 times the fraction of each pitch class among all pitches so far, by which a key is known (Krumhansl
        1990), then among those of the last ``RECENT`` events; classes are counted in semitones up from the last pitch.
        Then, for each period, how many notes to a period so far began so many sixteenths from now, by which a metre is
        known (Palmer & Krumhansl 1990); and the same of the last ``RECENT`` events.
        """
        begin = self.counts.shape[1] - last
        up = torch.arange(12, device=self.counts.device) + self.anchors[:, begin:, None].clamp(min=0)
        counts = torch.stack((self.counts[:, begin:], _recent(self.counts, last)), dim=2)  # (B, T, 2, 12)
        scale = counts.gather(-1, (up % 12)[:, :, None].expand_as(counts)).float()
        scale = 12**0.5 * scale / counts.sum(-1, keepdim=True).clamp(min=1)
        if self.ticks is None:
            return F.pad(scale.flatten(2), (0, PROFILE - 24))
        now = self.clock[:, begin:]
        spans = torch.stack((now, _recent(self.clock, last)), dim=2)[..., None]  # (B, T, 2, 1)
        onsets = torch.stack((self.onset_counts[:, begin:], _recent(self.onset_counts, last)), dim=2)
        lengths, begins, within = _metre_bins(now.device)  # (METRE_BINS,) each
        on = begins + (within + now[..., None] % lengths // GRID) % (lengths // GRID)
        metre = onsets.gather(-1, on[:, :, None].expand_as(onsets)) / (spans / lengths + 1)
        return torch.cat((scale.flatten(2), metre.flatten(2)), dim=-1)

    def retrieve(self, size: int) -> Retrieved:
        """M = ``size`` events that followed at positions matching each event, (B, N, ...)."""
        batch, count, _ = self.events.shape
        positions = torch.arange(count, device=self.events.device)[:, None]
        at_once = max(1, CELLS // count**2)
        slices = [slice(row, row + at_once) for row in range(0, batch, at_once)]
        parts = [self._best(match_lengths(self.keys[rows]), positions, size, rows) for rows in slices]
        return Retrieved(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def last_lengths(self, before: Tensor | None = None) -> Tensor:
        """Lengths of the matches of the last event, (B, K, 2); ``before``: those of the event before, if known."""
        return last_match_lengths(self.keys) if before is None else next_match_lengths(self.keys, before)

    def retrieve_last(self, lengths: Tensor, size: int) -> Retrieved:
        """:meth:`retrieve` after the last event alone, (B, ...), from its :meth:`last_lengths`."""
        position = torch.tensor([[self.events.shape[1] - 1]], device=lengths.device)
        return Retrieved(*(part[:, 0] for part in self._best(lengths[:, None], position, size)))

    def _best(self, lengths: Tensor, positions: Tensor, size: int, rows: slice = ALL) -> Retrieved:
        """What followed at the best matches, (B, T, M, ...).

        Args:
            lengths: (B, T, K, 2).
            positions: Which event each of the T is, (T, 1).
            size: M.
            rows: Which rows the lengths are of.
        """
        lags, lengths = longest_matches(lengths, size)  # (B, T, M), (B, T, M, 2)
        found, in_range = self._following(lags, positions, rows)
        # A phrase of K events that is repeated matches the position K before, longer each time. How often it was
        # repeated is told apart from the length, or a model would be surer each time that it goes on.
        repeats = lengths.amax(-1) // lags
        real = in_range & (lengths.amax(-1) > 0)  # (B, T, M)
        missing = size - lags.shape[-1]
        return Retrieved(
            F.pad(found * real[..., None], (0, 0, 0, missing)),
            F.pad(lengths.minimum(lags[..., None]) * real[..., None], (0, 0, 0, missing)),
            F.pad((2 * lags.float().log2()).long().clamp(max=LAGS - 1) * real, (0, missing)),
            F.pad(repeats.clamp(max=REPEATS - 1) * real, (0, missing)),
        )

    def _following(self, lags: Tensor, positions: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """The events that followed the positions ``lags`` (B, T, M) back, transposed to the present pitch.

        Returns:
            The events (B, T, M, F), and whether their pitches are within the range (B, T, M).
        """
        events, anchors = self.events[rows], self.anchors[rows]
        row = torch.arange(len(lags), device=lags.device)[:, None, None]
        then = (positions + 1 - lags).clamp(min=1)  # the matching event is one before
        found = events[row, then]
        now, before = anchors[row, positions[None]], anchors[row, then - 1]
        sounding, pitches = self._sounding(found), found[..., self.pitch]
        moved = torch.where(sounding, pitches + now - before, pitches)
        in_range = ~sounding | ((now >= 0) & (before >= 0) & (moved >= self.first_pitch) & (moved <= self.last_pitch))
        return torch.cat((found[..., : self.pitch], moved[..., None], found[..., self.pitch + 1 :]), dim=-1), in_range


def _recent(sums: Tensor, last: int) -> Tensor:
    """Sums over the RECENT events up to each of the ``last``, (B, T, ...), of sums (B, N, ...) over all events."""
    begin = sums.shape[1] - last
    before = sums[:, max(0, begin - RECENT) : max(0, sums.shape[1] - RECENT)]
    return sums[:, begin:] - F.pad(before, (*[0, 0] * (sums.dim() - 2), last - before.shape[1], 0))


@cache
def _periods(device: torch.device) -> tuple[Tensor, Tensor]:
    """The PERIODS, and where the bins of each begin among all."""
    sizes = torch.tensor(PERIODS) // GRID
    return torch.tensor(PERIODS, device=device), (sizes.cumsum(0) - sizes).to(device)


@cache
def _metre_bins(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each bin the length of its period, where that begins among all, and the bin within it; (METRE_BINS,)."""
    periods, begins = _periods(device)
    lengths, starts = (part.repeat_interleave(periods // GRID) for part in (periods, begins))
    return lengths, starts, torch.arange(METRE_BINS, device=device) - starts
