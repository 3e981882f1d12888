"""What the past of a piece says about its next note before any weight is asked.

Music repeats itself, at other pitches as often as at the same. So the past is read as intervals, and wherever it went
before as it goes now, what followed then, moved to where the tune now stands, is a guess at what follows. Such a
memory has no parameters: what a Transformer's induction heads learn from much text (Olsson et al. 2022), and copying
from the context learns from some (Vinyals et al., "Pointer Networks", 2015), a few thousand notes do not teach.

B batch, T time, F fields of an event, M events recalled, K lags: how far back an event stands, from 1 on, N = K + 1.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LONGEST = 31  # runs are counted up to here
LAGS = 16  # classes of lags, half an octave each: 1, 2, 3 to 4, ... up to 181 and beyond
INTERVALS = 2  # pitches back to which intervals are taken
LATELY = 32  # events back from which scale and metre are told, beside those of all events
PERIODS = (24, 48, 72, 96, 144)  # ticks after which a rhythm may begin anew: from a quarter to six of them
GRID = 6  # ticks of a place within them, a sixteenth
PLACES = sum(PERIODS) // GRID
PROFILE = 2 * (12 + PLACES)  # numbers that tell scale and metre
CELLS = 1 << 22  # cells of T × T that are worked on at once
NOTHING = -1  # the anchor where nothing has sounded yet
NONE = 1 << 12  # an interval that is none
SIDE = 1 << 16  # more than the ids of a field
ALL = slice(None)  # rows


class Recalled(NamedTuple):
    """What followed where the piece went before as it goes now, the best M places of it first; (...) as asked for.

    Attributes:
        events: Ids (..., M, F), the pitch moved; 0 where nothing is recalled.
        runs: How many events agree without a gap, (..., M, 2): in all fields, and by their intervals alone. Both 0
            where nothing is recalled.
        lags: Class of how long ago, (..., M).
    """

    events: Tensor
    runs: Tensor
    lags: Tensor


@dataclass(frozen=True)
class Known:
    """What is known before the next event, at every step or one; an index picks rows and steps of all of it at once.

    Attributes:
        outputs: Of each net that read, (..., D).
        first: Number of the first of those nets.
        anchor: Id of the last pitch, (...); -1 where there is none. None: not asked for.
        profile: Scale and metre of the piece, (..., PROFILE); see :meth:`Past.profiles`. None: not asked for.
        recalled: What followed upon the like. None: not asked for.
    """

    outputs: tuple[Tensor, ...]
    first: int = 0
    anchor: Tensor | None = None
    profile: Tensor | None = None
    recalled: Recalled | None = None

    def __getitem__(self, key: Any) -> "Known":
        return Known(
            tuple(x[key] for x in self.outputs),
            self.first,
            None if self.anchor is None else self.anchor[key],
            None if self.profile is None else self.profile[key],
            None if self.recalled is None else Recalled(*(part[key] for part in self.recalled)),
        )

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.outputs[0].device


class Past:
    """Events (B, N, F) and what of them is looked at again.

    The last two fields are pitch and duration. Rows may be padded with ids 0 on the right, where nothing is asked for,
    or on the left.

    Attributes:
        events: Ids (B, N, F).
        anchors: Id of the last pitch up to and with each event, (B, N); -1 where there is none.
        signs: Two numbers for each event that know no key, (B, N, 2): of all its fields with the interval in place of
            the pitch, and of the interval alone. Marks (ids 0 and 1 of the first field; signatures) resemble nothing.
        counts: How often each pitch class has sounded, (B, N, 12), the first being that of id 0.
        clock: Ticks after each event, (B, N): when the next one begins or, with three fields, when this one began.
        places: How many notes have begun at each place of each of the PERIODS, (B, N, PLACES).

    Args:
        events: As the attribute.
        first_pitch: The smallest id of the field pitch that is one; those below are rests and marks.
        last_pitch: The greatest; those above are marks too.
        ticks: How far each id of the field duration (with three fields: shift) moves the clock on, (V,); 24 to the
            quarter. None: no metre is asked for.
    """

    def __init__(self, events: Tensor, first_pitch: int, last_pitch: int, ticks: Tensor | None = None) -> None:
        self.events, self.first_pitch, self.last_pitch, self.ticks = events, first_pitch, last_pitch, ticks
        places, pitches = torch.arange(events.shape[1], device=events.device), events[..., -2]
        last = torch.where(self._sounding(events), places, NOTHING).cummax(1).values
        self.anchors = torch.where(last >= 0, pitches.gather(1, last.clamp(min=0)), NOTHING)
        before = F.pad(self.anchors, (1, 0), value=NOTHING)[:, :-1]
        self.signs = self._signs(events, before)
        self.counts = self._classes(events).cumsum(1)
        self.clock = self._moved(events).cumsum(1)
        self.places = self._placed(events, self.clock).cumsum(1)

    def hear(self, event: Tensor) -> None:
        """Takes one more event of each row, (B, F)."""
        pitch, before = event[:, None, -2], self.anchors[:, -1:]
        anchor = torch.where(self._sounding(event[:, None]), pitch, before)
        self.events = torch.cat((self.events, event[:, None]), dim=1)
        self.anchors = torch.cat((self.anchors, anchor), dim=1)
        self.signs = torch.cat((self.signs, self._signs(event[:, None], before)), dim=1)
        self.counts = torch.cat((self.counts, self.counts[:, -1:] + self._classes(event[:, None])), dim=1)
        self.clock = torch.cat((self.clock, self.clock[:, -1:] + self._moved(event[:, None])), dim=1)
        placed = self._placed(event[:, None], self.clock[:, -1:])
        self.places = torch.cat((self.places, self.places[:, -1:] + placed), dim=1)

    def _signs(self, events: Tensor, before: Tensor) -> Tensor:
        """Signs (B, N, 2) of events (B, N, F) that follow upon the anchors ``before`` (B, N)."""
        pitches = events[..., -2]
        moved = torch.where(before >= 0, pitches - before, NONE) + 2 * NONE  # positive, and no rest
        whole = interval = torch.where(self._sounding(events), moved, pitches)
        for field in (*range(events.shape[-1] - 2), -1):
            whole = whole * SIDE + events[..., field]
        marks = (events[..., :1] < 2) | (pitches > self.last_pitch)[..., None]
        return torch.stack((whole, interval), dim=-1).masked_fill(marks, NOTHING)

    def intervals(self) -> Tensor:
        """From the pitch before the last one, and from the one before that, to the last: semitones, (B, N, INTERVALS).

        A rest repeats the pitch before it. ``NONE`` where there is no such pitch.
        """
        found = []
        for back in range(1, INTERVALS + 1):
            earlier = F.pad(self.anchors, (back, 0), value=NOTHING)[:, : self.anchors.shape[1]]
            known = (self.anchors >= 0) & (earlier >= 0)
            found.append(torch.where(known, self.anchors - earlier, NONE))
        return torch.stack(found, dim=-1)

    def _sounding(self, events: Tensor) -> Tensor:
        """Whether events (..., F) are notes, (...)."""
        return (events[..., -2] >= self.first_pitch) & (events[..., -2] <= self.last_pitch)

    def _classes(self, events: Tensor) -> Tensor:
        """One at the pitch class of each event, (B, N, 12); nothing at those without a pitch."""
        pitches = events[..., -2]
        return F.one_hot(pitches % 12, 12) * self._sounding(events)[..., None]

    def _moved(self, events: Tensor) -> Tensor:
        """Ticks by which each event moves the clock on, (B, N)."""
        if self.ticks is None:
            return torch.zeros_like(events[..., 0])
        return self.ticks[events[..., -1 if events.shape[-1] == 2 else 0]]

    def _placed(self, events: Tensor, clock: Tensor) -> Tensor:
        """One at each event's place in each period, (B, N, PLACES), of the clock (B, N) after it; none for a rest."""
        began = clock - self._moved(events) if events.shape[-1] == 2 else clock
        periods, begins = _periods(clock.device)
        at = begins + began[..., None] % periods // GRID  # (B, N, periods)
        placed = torch.zeros(*began.shape, PLACES, dtype=torch.long, device=clock.device)
        return placed.scatter_(-1, at, self._sounding(events)[..., None].long().expand(at.shape))

    def profiles(self, last: int) -> Tensor:
        """Scale and metre after each of the ``last`` events, (B, T, PROFILE).

        First √12 times the share of each pitch class among all pitches so far, by which a key is known (Krumhansl
        1990), then among those of the last ``LATELY`` events; classes are counted in semitones up from the last pitch.
        Then, for each period, how many notes to a period so far began so many sixteenths from now, by which a metre is
        known (Palmer & Krumhansl 1990); and the same of the last ``LATELY`` events.
        """
        begin = self.counts.shape[1] - last
        up = torch.arange(12, device=self.counts.device) + self.anchors[:, begin:, None].clamp(min=0)
        counts = torch.stack((self.counts[:, begin:], _lately(self.counts, last)), dim=2)  # (B, T, 2, 12)
        scale = counts.gather(-1, (up % 12)[:, :, None].expand_as(counts)).float()
        scale = 12**0.5 * scale / counts.sum(-1, keepdim=True).clamp(min=1)
        if self.ticks is None:
            return F.pad(scale.flatten(2), (0, PROFILE - 24))
        now = self.clock[:, begin:]
        spans = torch.stack((now, _lately(self.clock, last)), dim=2)[..., None]  # (B, T, 2, 1)
        places = torch.stack((self.places[:, begin:], _lately(self.places, last)), dim=2)  # (B, T, 2, PLACES)
        lengths, begins, within = _places(now.device)  # (PLACES,) each
        on = begins + (within + now[..., None] % lengths // GRID) % (lengths // GRID)
        metre = places.gather(-1, on[:, :, None].expand_as(places)) / (spans / lengths + 1)
        return torch.cat((scale.flatten(2), metre.flatten(2)), dim=-1)

    def runs(self, rows: slice = ALL) -> Tensor:
        """How many events up to each agree with those up to the event a lag before, (B, N, K, 2), lags from 1 on."""
        signs = self.signs[rows]
        batch, count, _ = signs.shape
        runs = torch.zeros(batch, count, count - 1, 2, dtype=torch.int32, device=signs.device)
        back = signs.flip(1)
        for place in range(1, count):
            now, then = signs[:, place, None], back[:, count - place :]  # (B, 1, 2), (B, place, 2)
            runs[:, place, :place] = (runs[:, place - 1, :place] + 1) * ((now == then) & (now >= 0))
        return runs.clamp_(max=LONGEST)

    def ended_runs(self) -> Tensor:
        """:meth:`runs` of the last event alone, (B, K, 2)."""
        count = self.signs.shape[1]
        padded = F.pad(self.signs, (0, 0, LONGEST, 0), value=NOTHING).flip(1)  # the last event first
        agree = torch.ones(len(padded), count - 1, 2, dtype=torch.int32, device=padded.device)
        runs = torch.zeros_like(agree)
        for back in range(LONGEST):
            now, then = padded[:, back, None], padded[:, back + 1 : back + count]
            agree = agree * ((now == then) & (now >= 0))
            runs = runs + agree
        return runs

    def last_runs(self, before: Tensor) -> Tensor:
        """:meth:`ended_runs` from those of the event before, (B, K - 1, 2)."""
        now, then = self.signs[:, -1:], self.signs[:, :-1].flip(1)
        equal = (now == then) & (now >= 0)
        return ((F.pad(before, (0, 0, 0, 1)) + 1) * equal).clamp(max=LONGEST)

    def recall(self, size: int) -> Recalled:
        """M = ``size`` events after each event, (B, N, ...)."""
        batch, count, _ = self.events.shape
        places = torch.arange(count, device=self.events.device)[:, None]
        at_once = max(1, CELLS // count**2)
        slices = [slice(row, row + at_once) for row in range(0, batch, at_once)]
        parts = [self.choose(self.runs(rows), places, size, rows) for rows in slices]
        return Recalled(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def last_recall(self, runs: Tensor, size: int) -> Recalled:
        """:meth:`recall` after the last event alone, (B, ...), from its runs (B, K, 2)."""
        place = torch.tensor([[self.events.shape[1] - 1]], device=runs.device)
        return Recalled(*(part[:, 0] for part in self.choose(runs[:, None], place, size)))

    def choose(self, runs: Tensor, places: Tensor, size: int, rows: slice = ALL) -> Recalled:
        """What followed at the best lags, (B, T, M, ...): of the longest runs of whole events, then of intervals, then
        the latest.

        Args:
            runs: (B, T, K, 2).
            places: Which event each of the T is, (T, 1).
            size: M.
            rows: Which rows the runs are of.
        """
        events, anchors = self.events[rows], self.anchors[rows]
        lags = runs.shape[2]
        worth = (runs[..., 0] * (LONGEST + 1) + runs[..., 1]) * lags - torch.arange(lags, device=runs.device)
        worth = torch.where(runs.amax(-1) > 0, worth, -lags)
        best = worth.topk(min(size, lags)).indices  # (B, T, M); lag 1 is 0
        runs = runs.gather(2, best[..., None].expand(*best.shape, 2))
        row = torch.arange(len(runs), device=runs.device)[:, None, None]
        then = (places - best).clamp(min=1)  # what followed; what agreed stands one before
        found = events[row, then]  # (B, T, M, F)
        now, before = anchors[row, places[None]], anchors[row, then - 1]
        sounding = self._sounding(found)
        moved = torch.where(sounding, found[..., -2] + now - before, found[..., -2])
        inside = ~sounding | ((now >= 0) & (before >= 0) & (moved >= self.first_pitch) & (moved <= self.last_pitch))
        found = torch.cat((found[..., :-2], moved[..., None], found[..., -1:]), dim=-1)
        classes = (2 * (best + 1).float().log2()).long().clamp(max=LAGS - 1)
        real = inside & (runs.amax(-1) > 0)  # (B, T, M)
        missing = size - best.shape[-1]
        return Recalled(
            F.pad(found * real[..., None], (0, 0, 0, missing)),
            F.pad(runs * real[..., None], (0, 0, 0, missing)),
            F.pad(classes * real, (0, missing)),
        )


def _lately(sums: Tensor, last: int) -> Tensor:
    """Of sums (B, N, ...) over all events up to each of the ``last``, those over LATELY of them, (B, T, ...)."""
    begin = sums.shape[1] - last
    before = sums[:, max(0, begin - LATELY) : max(0, sums.shape[1] - LATELY)]
    return sums[:, begin:] - F.pad(before, (*[0, 0] * (sums.dim() - 2), last - before.shape[1], 0))


@cache
def _periods(device: torch.device) -> tuple[Tensor, Tensor]:
    """The PERIODS, and where the places of each begin among all."""
    sizes = torch.tensor(PERIODS) // GRID
    return torch.tensor(PERIODS, device=device), (sizes.cumsum(0) - sizes).to(device)


@cache
def _places(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each place the length of its period, where that begins among all, and the place within it; (PLACES,)."""
    periods, begins = _periods(device)
    lengths, starts = (part.repeat_interleave(periods // GRID) for part in (periods, begins))
    return lengths, starts, torch.arange(PLACES, device=device) - starts
