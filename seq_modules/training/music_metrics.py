"""Metrics of pieces of music: what seqlight/music/statistics.py counts, summed over pieces and processes.

Each is a torchmetrics.Metric whose states are sums or maxima; its ``update`` takes pieces (seqlight/music/notes.py).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from seqlight.core.errors import UserError
from seqlight.music.copying import CopyIndex
from seqlight.music.notes import HIGHEST_PITCH, Piece, bar_ticks
from seqlight.music.statistics import (
    LONGEST_TIME,
    WIDEST_INTERVAL,
    distinct_four_grams,
    duration_counts,
    interval_counts,
    longest_run,
    onset_jaccard,
    onset_time_counts,
    pitch_class_counts_in_c,
    scale_consistency,
)

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
        reference: Pieces to compare with, such as those of the training.
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
        """How often each interval occurs, the widest fall first."""
        return interval_counts(piece)


class DurationOverlap(Overlap):
    """Overlap of the durations of all notes, in ticks, up to 8 quarters.

    Args:
        reference: Pieces to compare with.
    """

    def __init__(self, reference: Sequence[Piece]) -> None:
        super().__init__(reference, LONGEST_TIME + 1)

    def counted(self, piece: Piece) -> np.ndarray:
        """How often each duration occurs."""
        return duration_counts(piece)


class OnsetTimeOverlap(Overlap):
    """Overlap of the times from one onset to the next (inter-onset intervals), in ticks, up to 8 quarters.

    Args:
        reference: Pieces to compare with.
    """

    def __init__(self, reference: Sequence[Piece]) -> None:
        super().__init__(reference, LONGEST_TIME + 1)

    def counted(self, piece: Piece) -> np.ndarray:
        """How often each time occurs."""
        return onset_time_counts(piece)


class PitchClassDivergence(PieceMetric):
    """Kullback-Leibler divergence, in nats, of the pitch classes from the reference's, all pieces in one key.

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
        """How many notes each pitch class has, in C."""
        return pitch_class_counts_in_c(piece)

    def compute(self) -> Tensor:
        """Divergence, 0 or more; not a number without notes."""
        here, there = self.counts / self.counts.sum(), self.reference / self.reference.sum()
        return (torch.xlogy(here, here) - torch.xlogy(here, there)).sum()


class ScaleConsistency(MeanOfPieces):
    """Largest fraction of a piece's notes in one scale; see statistics.py."""

    def value(self, piece: Piece) -> float | None:
        """Fraction between 7/12 and 1."""
        return scale_consistency(piece)


class DistinctFourGrams(MeanOfPieces):
    """Different ones among a piece's runs of four melody notes; see statistics.py."""

    def value(self, piece: Piece) -> float | None:
        """Fraction above 0, at most 1."""
        return distinct_four_grams(piece)


class LongestRun(MeanOfPieces):
    """How often a piece's melody strikes one pitch in succession, at most."""

    def value(self, piece: Piece) -> float | None:
        """Notes, 1 or more."""
        return longest_run(piece)


class OnsetJaccard(MeanOfPieces):
    """How alike the rhythm of successive bars is; see statistics.py.

    Args:
        bars: Lengths of bars in ticks, of which each piece takes the best; by default its own alone.
    """

    def __init__(self, bars: Iterable[int] | None = None) -> None:
        super().__init__()
        self.bars = None if bars is None else sorted(set(bars))

    def value(self, piece: Piece) -> float | None:
        """Index between 0 and 1."""
        return onset_jaccard(piece, self.bars)


class OutOfRange(PieceMetric):
    """Fraction of all notes that lie outside of a range of pitches.

    Args:
        lowest: Lowest pitch of the range, as MIDI counts.
        highest: Highest pitch of it.

    Raises:
        UserError: That is no range.
    """

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__(2)
        if not 0 <= lowest <= highest <= HIGHEST_PITCH:
            raise UserError(f"lowest {lowest} and highest {highest} must be pitches from 0 to 127, in this order")
        self.lowest, self.highest = lowest, highest

    def counted(self, piece: Piece) -> np.ndarray:
        """Notes outside, and all."""
        outside = sum(not self.lowest <= note.pitch <= self.highest for note in piece.notes)
        return np.array([outside, len(piece.notes)], dtype=float)

    def compute(self) -> Tensor:
        """Fraction between 0 and 1."""
        return self.counts[0] / self.counts[1]


class Copying(Metric):
    """Verbatim copies: maximum and median over the pieces of the longest one, and the fraction of notes in copies.

    Args:
        index: Pieces that may have been copied from (seqlight/music/copying.py).
        in_copies: Notes from which on a copy counts for the fraction.
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
        """``longest_copy``, ``median_copy`` (the lower one of two) in notes, ``fraction_in_copies``."""
        half = (self.lengths.sum() + 1) // 2
        median = (self.lengths.cumsum(0) >= half).long().argmax()
        return {
            "longest_copy": self.maximum.float(),
            "median_copy": median.float(),
            "fraction_in_copies": self.notes[0] / self.notes[1],
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
        UserError: The reference has no notes.
    """
    pitches = [note.pitch for piece in reference for note in piece.notes]
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
