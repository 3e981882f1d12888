"""What music is like, in numbers that can be compared with those of real music.

None of these ranks music by itself: one note all the time is perfectly in key. What counts is how far generated music
lies from music that was held out, measured alike. Each is a torchmetrics.Metric whose states are sums, so that ranks
add up; its ``update`` takes pieces (seqlight/music/notes.py). Melodic ones look at the highest note of each onset.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from seqlight.core.errors import UserError
from seqlight.music.copying import CopyIndex
from seqlight.music.keys import MAJOR_SCALE, find_key, relative_major
from seqlight.music.notes import PITCHES, TICKS_PER_QUARTER, Piece, bar_ticks, top_voice

LONGEST_TIME = 8 * TICKS_PER_QUARTER  # durations and times between onsets above it count as one
WIDEST_INTERVAL = 24  # semitones; wider ones count as one, up and down
IN_COPIES = 8  # notes from which on a copy is called one


class PieceMetric(Metric):
    """Base of the metrics here: counts of some kind, and what is made of them.

    Args:
        size: How many counts.
    """

    full_state_update = False
    higher_is_better = None
    counts: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(size, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pieces: Iterable[Piece]) -> None:
        """Takes pieces."""
        for piece in pieces:
            self.counts += torch.from_numpy(self.counted(piece)).to(self.counts.device)

    def counted(self, piece: Piece) -> np.ndarray:
        """The counts (``size``,) of one piece."""
        raise NotImplementedError


class MeanOfPieces(PieceMetric):
    """Base of the metrics that are a number of each piece and the mean of them; pieces without one do not count."""

    def __init__(self) -> None:
        super().__init__(2)

    def counted(self, piece: Piece) -> np.ndarray:
        """Sum and number."""
        value = self.value(piece)
        return np.array([0.0, 0.0] if value is None else [value, 1.0])

    def value(self, piece: Piece) -> float | None:
        """The piece's number; None if it has none."""
        raise NotImplementedError

    def compute(self) -> Tensor:
        """Mean over the pieces; not a number if there were none."""
        return self.counts[0] / self.counts[1]


class Overlap(PieceMetric):
    """How much of two distributions lies in both: the histogram intersection Σ min(p, q) of Swain and Ballard (1991).

    The measure on music's features follows Yang and Lerch (2020), who smooth them first; ours are counted exactly. 1
    for the same distribution, 0 for nothing in common.

    Args:
        reference: Pieces to compare with, the training's say.
        size: How many counts.
    """

    reference: Tensor

    def __init__(self, reference: Sequence[Piece], size: int) -> None:
        super().__init__(size)
        total = sum((self.counted(piece) for piece in reference), start=np.zeros(size))
        self.register_buffer("reference", torch.from_numpy(total), persistent=False)

    def compute(self) -> Tensor:
        """Overlap between 0 and 1; not a number if one of the two is empty."""
        return torch.minimum(self.counts / self.counts.sum(), self.reference / self.reference.sum()).sum()


class IntervalOverlap(Overlap):
    """Overlap of the intervals between successive melody notes, in semitones, from -24 to 24.

    Args:
        reference: Pieces to compare with.
    """

    def __init__(self, reference: Sequence[Piece]) -> None:
        super().__init__(reference, 2 * WIDEST_INTERVAL + 1)

    def counted(self, piece: Piece) -> np.ndarray:
        """How often each interval, the widest fall first."""
        intervals = np.diff([pitch for _, pitch, _ in top_voice(piece.notes)])
        clipped = intervals.clip(-WIDEST_INTERVAL, WIDEST_INTERVAL) + WIDEST_INTERVAL
        return np.bincount(clipped.astype(int), minlength=2 * WIDEST_INTERVAL + 1).astype(float)


class DurationOverlap(Overlap):
    """Overlap of the durations of all notes, in ticks, up to 8 quarters.

    Args:
        reference: Pieces to compare with.
    """

    def __init__(self, reference: Sequence[Piece]) -> None:
        super().__init__(reference, LONGEST_TIME + 1)

    def counted(self, piece: Piece) -> np.ndarray:
        """How often each duration."""
        return histogram_of_times([duration for _, _, duration in piece.notes])


class OnsetTimeOverlap(Overlap):
    """Overlap of the times from one onset to the next (inter-onset intervals), in ticks, up to 8 quarters.

    Args:
        reference: Pieces to compare with.
    """

    def __init__(self, reference: Sequence[Piece]) -> None:
        super().__init__(reference, LONGEST_TIME + 1)

    def counted(self, piece: Piece) -> np.ndarray:
        """How often each time."""
        return histogram_of_times(np.diff(sorted({start for start, _, _ in piece.notes})))


def histogram_of_times(ticks: Sequence[int] | np.ndarray) -> np.ndarray:
    """How often each number of ticks, those above :data:`LONGEST_TIME` together."""
    clipped = np.asarray(ticks, dtype=np.int64).clip(0, LONGEST_TIME)
    return np.bincount(clipped, minlength=LONGEST_TIME + 1).astype(float)


class PitchClassDivergence(PieceMetric):
    """Kullback-Leibler divergence, in nats, of the pitch classes from the reference's, all pieces in one key.

    Each piece is moved to the key signature of C: by the key that Krumhansl's algorithm finds, minor to a minor.
    0 for the same distribution. The reference has one more note of each class, so that the divergence is finite.

    Args:
        reference: Pieces to compare with.
    """

    reference: Tensor

    def __init__(self, reference: Sequence[Piece]) -> None:
        super().__init__(12)
        total = sum((self.counted(piece) for piece in reference), start=np.ones(12))
        self.register_buffer("reference", torch.from_numpy(total), persistent=False)

    def counted(self, piece: Piece) -> np.ndarray:
        """How many notes of each pitch class, in C."""
        classes = pitch_classes(piece)
        return np.roll(classes, -relative_major(*find_key(classes)))

    def compute(self) -> Tensor:
        """Divergence, 0 or more; not a number without notes."""
        here, there = self.counts / self.counts.sum(), self.reference / self.reference.sum()
        return (torch.xlogy(here, here) - torch.xlogy(here, there)).sum()


def pitch_classes(piece: Piece) -> np.ndarray:
    """How many notes of each pitch class, (12,), from C upwards."""
    return np.bincount([pitch % 12 for _, pitch, _ in piece.notes], minlength=12).astype(float)


class ScaleConsistency(MeanOfPieces):
    """Largest share of a piece's notes in one major or natural minor scale (Mogren 2016), mean of the pieces."""

    def value(self, piece: Piece) -> float | None:
        """Share between 7/12 and 1."""
        classes = pitch_classes(piece)
        if not piece.notes:
            return None
        return max(np.roll(classes, -tonic)[list(MAJOR_SCALE)].sum() for tonic in range(12)) / classes.sum()


class DistinctFourGrams(MeanOfPieces):
    """Different ones among a piece's runs of four melody notes (pitch and duration), mean of the pieces.

    Distinct-n of Li et al. (2016). It falls with a piece's length: compare pieces of equal length.
    """

    def value(self, piece: Piece) -> float | None:
        """Share above 0, at most 1."""
        notes = [note[1:] for note in top_voice(piece.notes)]
        grams = [tuple(notes[at : at + 4]) for at in range(len(notes) - 3)]
        return len(set(grams)) / len(grams) if grams else None


class LongestRun(MeanOfPieces):
    """How often a piece's melody strikes one pitch in succession, at most; mean of the pieces."""

    def value(self, piece: Piece) -> float | None:
        """Notes, 1 or more."""
        voice = top_voice(piece.notes)
        return float(max((len(list(run)) for _, run in groupby(note[1] for note in voice)), default=0)) or None


class OnsetJaccard(MeanOfPieces):
    """How alike the rhythm of successive bars is: onsets at the same place over all onsets, mean of pairs, of pieces.

    Jaccard's index |A ∩ B| / |A ∪ B| of the onsets in two bars. The grooving similarity of Wu and Yang (2020) counts
    places without an onset as agreement, and is near 1 for any music. Two bars of rest are no pair.

    Args:
        bars: Lengths of bars in ticks, of which each piece has the one that makes it most alike: generated music does
            not say where its bars are. By default each piece's own.
    """

    def __init__(self, bars: Iterable[int] | None = None) -> None:
        super().__init__()
        self.bars = None if bars is None else sorted(set(bars))

    def value(self, piece: Piece) -> float | None:
        """Index between 0 and 1."""
        found = [alike(piece, ticks) for ticks in self.bars or [bar_ticks(piece)]]
        return max((value for value in found if value is not None), default=None)


def alike(piece: Piece, ticks: int) -> float | None:
    """Mean Jaccard index of a piece's successive bars of some length; None if all its onsets are in one bar."""
    bars: dict[int, set[int]] = {}
    for start, _, _ in piece.notes:
        bars.setdefault(start // ticks, set()).add(start % ticks)
    # A pair has an onset in one of its bars at least; a bar of rest shares nothing with its neighbours.
    pairs = [at for at in {at for bar in bars for at in (bar - 1, bar)} if min(bars) <= at < max(bars)]
    two = [(bars.get(at, set()), bars.get(at + 1, set())) for at in pairs]
    return float(np.mean([len(a & b) / len(a | b) for a, b in two])) if two else None


class OutOfRange(PieceMetric):
    """Share of all notes that lie outside of a range of pitches.

    Args:
        lowest: Lowest pitch of the range, as MIDI counts.
        highest: Highest pitch of it.
    """

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__(2)
        if not 0 <= lowest <= highest < PITCHES:
            raise UserError(f"lowest {lowest} and highest {highest} must be pitches from 0 to 127, in this order")
        self.lowest, self.highest = lowest, highest

    def counted(self, piece: Piece) -> np.ndarray:
        """Notes outside, and all."""
        outside = sum(not self.lowest <= pitch <= self.highest for _, pitch, _ in piece.notes)
        return np.array([outside, len(piece.notes)], dtype=float)

    def compute(self) -> Tensor:
        """Share between 0 and 1."""
        return self.counts[0] / self.counts[1]


class Copying(Metric):
    """Verbatim copies: maximum and median over the pieces of the longest one, and the share of notes in copies.

    Args:
        index: Pieces that may have been copied from (seqlight/music/copying.py).
        in_copies: Notes from which on a copy counts for the share.
        longest: Copies above this many notes are taken as this long, by the median alone.
    """

    full_state_update = False
    higher_is_better = None
    maximum: Tensor
    lengths: Tensor
    notes: Tensor

    def __init__(self, index: CopyIndex, in_copies: int = IN_COPIES, longest: int = 10_000) -> None:
        super().__init__()
        self.index, self.in_copies, self.longest = index, in_copies, longest
        self.add_state("maximum", torch.tensor(0), dist_reduce_fx="max")
        self.add_state("lengths", torch.zeros(longest + 1, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("notes", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")  # in copies, all

    def update(self, pieces: Iterable[Piece]) -> None:
        """Takes pieces."""
        for piece in pieces:
            longest, copied, notes = self.index.lengths(piece, self.in_copies)
            self.maximum = self.maximum.clamp(min=longest)
            self.lengths[min(longest, self.longest)] += 1
            self.notes += torch.tensor([copied, notes], device=self.notes.device)

    def compute(self) -> dict[str, Tensor]:
        """``longest_copy``, ``median_copy`` (the lower one of two) in notes, ``share_in_copies``."""
        half = (self.lengths.sum() + 1) // 2
        median = (self.lengths.cumsum(0) >= half).long().argmax()
        return {
            "longest_copy": self.maximum.float(),
            "median_copy": median.float(),
            "share_in_copies": self.notes[0] / self.notes[1],
        }


def music_metrics(
    reference: Sequence[Piece], lowest: int | None = None, highest: int | None = None, index: CopyIndex | None = None
) -> MetricCollection:
    """All metrics of this file by the names they are logged under.

    Args:
        reference: Pieces that generated music is compared with, and may have copied from: the training's.
        lowest: Lowest pitch of the instrument; by default the lowest of the reference.
        highest: Highest pitch; by default the highest of the reference.
        index: Index of the reference, if there is one; by default it is made.

    Raises:
        ValueError: The reference has no notes.
    """
    pitches = [pitch for piece in reference for _, pitch, _ in piece.notes]
    if not pitches:
        raise UserError("reference has no notes; give pieces to compare with")
    return MetricCollection(
        {
            "pitch_class_divergence": PitchClassDivergence(reference),
            "interval_overlap": IntervalOverlap(reference),
            "duration_overlap": DurationOverlap(reference),
            "onset_time_overlap": OnsetTimeOverlap(reference),
            "scale_consistency": ScaleConsistency(),
            "distinct_4_grams": DistinctFourGrams(),
            "longest_run": LongestRun(),
            "onset_jaccard": OnsetJaccard(bar_ticks(piece) for piece in reference),
            "out_of_range": OutOfRange(
                min(pitches) if lowest is None else lowest, max(pitches) if highest is None else highest
            ),
            "copying": Copying(index or CopyIndex(reference)),
        },
        compute_groups=False,  # each counts something else
    )
