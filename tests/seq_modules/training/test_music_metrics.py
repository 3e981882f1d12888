"""Statistics of music: brute force beside each, how they sum over ranks, and how they behave on music and nonsense."""

import copy
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from helpers.music_pieces import melody, piece_from, piece_of, tune

from seq_modules.training.music_metrics import (
    Copying,
    DistinctFourGrams,
    DurationOverlap,
    IntervalOverlap,
    LongestRun,
    OnsetJaccard,
    OnsetTimeOverlap,
    OutOfRange,
    PieceMetric,
    PitchClassDivergence,
    ScaleConsistency,
    music_metrics,
)
from seqlight.music.copying import CopyIndex
from seqlight.music.notes import Piece, excerpts

REFERENCE = [tune(100, seed, tonic=seed % 12) for seed in range(8)]
PIECES = [tune(64, 100 + seed, tonic=seed % 5) for seed in range(5)] + [melody(40, random.Random(0))]


def measured(metric: PieceMetric, pieces: list[Piece]) -> float:
    metric.update(pieces)
    return float(metric.compute())


def shares(values: list[int]) -> dict[int, float]:
    return {value: count / len(values) for value, count in Counter(values).items()}


def overlap(here: list[int], there: list[int]) -> float:
    p, q = shares(here), shares(there)
    return sum(min(p[value], q.get(value, 0)) for value in p)


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        (IntervalOverlap, lambda p: [max(-24, min(24, b[1] - a[1])) for a, b in itertools.pairwise(p.notes)]),
        (DurationOverlap, lambda p: [note.duration for note in p.notes]),
        (OnsetTimeOverlap, lambda p: [b[0] - a[0] for a, b in itertools.pairwise(p.notes)]),
    ],
)
def test_overlaps(metric: type, values: Callable[[Piece], list[int]]) -> None:
    here, there = ([value for p in pieces for value in values(p)] for pieces in (PIECES, REFERENCE))
    assert measured(metric(REFERENCE), PIECES) == pytest.approx(overlap(here, there), abs=1e-12)
    assert measured(metric(REFERENCE), REFERENCE) == pytest.approx(1)
    assert 0.1 < overlap(here, there) < 0.95  # the test says something


def test_chords_have_one_onset_and_their_highest_note() -> None:
    chords = piece_from("chords", ((0, 48, 12), (0, 55, 12), (0, 64, 12), (24, 50, 12), (24, 65, 6)))
    reference = [piece_of([(64, 24), (65, 24)])]
    assert measured(IntervalOverlap(reference), [chords]) == 1
    assert measured(OnsetTimeOverlap(reference), [chords]) == 1
    assert measured(DurationOverlap(reference), [chords]) == 0
    assert measured(DurationOverlap([piece_of([(60, 12)] * 4 + [(60, 6)])]), [chords]) == pytest.approx(1)


def test_very_long_times_and_wide_intervals_count_as_one() -> None:
    long, longer = piece_of([(0, 400), (127, 500)]), piece_of([(10, 10_000), (100, 193)])
    for metric in (IntervalOverlap, DurationOverlap, OnsetTimeOverlap):
        assert measured(metric([long]), [longer]) == 1


def test_pitch_class_divergence() -> None:
    # In C major and in a minor everything stays where it is.
    scale = [60, 62, 64, 65, 67, 69, 71, 60, 64, 67]
    minor = [57, 59, 60, 62, 64, 65, 68, 57, 60, 64, 57]
    p, q = (Counter(pitch % 12 for pitch in pitches) for pitches in (minor, scale))
    reference = {pc: (q[pc] + 1) / (len(scale) + 12) for pc in range(12)}
    expected = sum(n / len(minor) * math.log(n / len(minor) / reference[pc]) for pc, n in p.items())
    both = [piece_of([(pitch, 6) for pitch in pitches]) for pitches in (minor, scale)]
    assert measured(PitchClassDivergence([both[1]]), [both[0]]) == pytest.approx(expected, abs=1e-12)
    for semitones in range(12):  # the key does not matter, of neither
        moved = [piece_from(p.name, tuple((s, pitch + semitones, d) for s, pitch, d, _ in p.notes)) for p in both]
        assert measured(PitchClassDivergence([both[1]]), [moved[0]]) == pytest.approx(expected, abs=1e-12)
        assert measured(PitchClassDivergence([moved[1]]), [both[0]]) == pytest.approx(expected, abs=1e-12)


def test_scale_consistency() -> None:
    def brute(piece: Piece) -> float:
        pitches = [note.pitch for note in piece.notes]
        scales = [{(tonic + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)} for tonic in range(12)]
        return max(sum(pitch % 12 in scale for pitch in pitches) for scale in scales) / len(pitches)

    expected = sum(map(brute, PIECES)) / len(PIECES)
    assert measured(ScaleConsistency(), PIECES) == pytest.approx(expected, abs=1e-12)
    assert 0.8 < expected < 1
    chromatic = piece_of([(pitch, 6) for pitch in range(48, 60)])
    assert measured(ScaleConsistency(), [chromatic, tune(50, 0)]) == pytest.approx((7 / 12 + 1) / 2)


def test_distinct_four_grams_and_longest_run() -> None:
    figure = piece_of([(60, 6), (64, 6), (67, 6), (64, 6)] * 4)  # 13 runs of four, 4 of them different
    assert measured(DistinctFourGrams(), [figure]) == pytest.approx(4 / 13)
    assert measured(DistinctFourGrams(), [figure, piece_of([(60, 6)] * 5), piece_of([(60, 6)] * 3)]) == pytest.approx(
        (4 / 13 + 1 / 2) / 2  # three notes have none
    )
    rhythm = piece_of([(60, 6), (60, 12)] * 4)
    assert measured(DistinctFourGrams(), [rhythm]) == pytest.approx(2 / 5)
    assert measured(LongestRun(), [figure, piece_of([(60, 6), (60, 9), (60, 6), (62, 6), (62, 6)])]) == 2
    assert math.isnan(measured(LongestRun(), [piece_from("empty", ())]))


def test_onset_jaccard() -> None:
    # Bars of 4/4: onsets 0 24 48 72; 0 24 48 72; 0 48; none; 0.
    notes = [(at, 60, 6) for at in (0, 24, 48, 72, 96, 120, 144, 168, 192, 240, 384)]
    piece = piece_from("piece", tuple(notes))
    assert measured(OnsetJaccard(), [piece]) == pytest.approx((1 + 2 / 4 + 0 + 0) / 4)
    three = piece_from("waltz", tuple((at * 24, 60, 24) for at in range(12)), (3, 4))
    assert measured(OnsetJaccard(), [three]) == 1
    dotted = piece_from("dotted", tuple((start * 36 + at, 60, 6) for start in range(4) for at in (0, 24)), (4, 4))
    assert measured(OnsetJaccard(), [dotted]) < 0.5
    assert measured(OnsetJaccard([96, 36]), [dotted]) == 1  # in bars of 3/8
    assert math.isnan(measured(OnsetJaccard(), [piece_of([(60, 6)] * 3)]))  # one bar
    late = piece_from("late", tuple((start + 960, pitch, ticks) for start, pitch, ticks, _ in piece.notes))
    assert measured(OnsetJaccard(), [late]) == measured(OnsetJaccard(), [piece])


def test_out_of_range() -> None:
    piece = piece_of([(35, 6), (36, 6), (60, 6), (81, 6), (82, 6)])
    assert measured(OutOfRange(36, 81), [piece, piece_of([(50, 6)] * 3)]) == 2 / 8
    with pytest.raises(ValueError, match=r"^lowest 81 and highest 36"):
        OutOfRange(81, 36)


def test_copies_maximum_median_and_share() -> None:
    source = tune(60, 3)
    cuts = [12, 5, 9, 20]
    parts = [piece_from("part", source.notes[:cut]) for cut in cuts]
    metric = Copying(CopyIndex([source]))
    metric.update(parts)
    values = {name: float(value) for name, value in metric.compute().items()}
    assert values == {
        "longest_copy": 20,
        "median_copy": 9,  # the lower one of 9 and 12
        "fraction_in_copies": pytest.approx((12 + 9 + 20) / sum(cuts)),
    }


def test_states_sum_over_ranks() -> None:
    """What two ranks with half of the pieces each have, put together as torchmetrics does, is what one has."""
    whole = music_metrics(REFERENCE)
    whole.update(PIECES)
    expected = whole.compute()
    halves = [music_metrics(REFERENCE) for _ in range(2)]
    for half, pieces in zip(halves, (PIECES[:1], PIECES[1:]), strict=True):
        half.update(pieces)
    for name, metric in whole.items(keep_base=True):
        together = copy.deepcopy(metric)
        together.reset()
        reductions = {"sum": torch.sum, "max": torch.amax}
        for state, reduce in metric._reductions.items():
            values = torch.stack([getattr(half[name], state) for half in halves])
            kind = "max" if "max" in reduce.__name__ else "sum"
            setattr(together, state, reductions[kind](values, 0))
        together._update_count = 1
        value = together.compute()
        for key, one in value.items() if isinstance(value, dict) else [(name, value)]:
            torch.testing.assert_close(one, expected[key], rtol=1e-12, atol=0)


def test_nonsense_is_told_from_music() -> None:
    """As on the cello suites (music-notes.md, section 5): each statistic has something that it notices."""
    generator = random.Random(0)
    fresh = excerpts([tune(100, 500 + seed, tonic=seed) for seed in range(8)], 100)

    def values(pieces: list[Piece]) -> dict[str, float]:
        metrics = music_metrics(REFERENCE)
        metrics.update(pieces)
        return {name: float(value) for name, value in metrics.compute().items()}

    def shuffled(piece: Piece) -> Piece:
        pitches = generator.sample([note.pitch for note in piece.notes], len(piece.notes))
        return piece_from("", tuple((s, p, d) for (s, _, d, _), p in zip(piece.notes, pitches, strict=True)))

    real, mixed = values(fresh), values([shuffled(piece) for piece in fresh])
    wild = values([melody(100, generator) for _ in range(8)])
    one, copied = values([piece_of([(60, 6)] * 112)]), values(excerpts(REFERENCE, 100))
    for name in ("duration_overlap", "onset_jaccard", "scale_consistency", "pitch_class_divergence"):
        assert mixed[name] == pytest.approx(real[name], abs=1e-9), name  # the order of pitches is not their matter
    assert mixed["interval_overlap"] < real["interval_overlap"] - 0.2
    assert mixed["longest_copy"] < real["longest_copy"]
    assert wild["scale_consistency"] < real["scale_consistency"] - 0.2
    assert wild["pitch_class_divergence"] > 10 * real["pitch_class_divergence"]
    assert wild["duration_overlap"] < real["duration_overlap"] - 0.2
    assert wild["onset_jaccard"] < real["onset_jaccard"] - 0.2
    assert wild["out_of_range"] > 0.05 > real["out_of_range"]
    assert one["scale_consistency"] == one["onset_jaccard"] == 1  # "better" than music
    assert one["longest_run"] == 112
    assert one["distinct_4_grams"] == 1 / 109
    assert one["pitch_class_divergence"] > 1
    assert one["interval_overlap"] < 0.2
    assert copied["longest_copy"] == 100
    assert copied["fraction_in_copies"] == 1
    assert real["longest_copy"] < 30


def test_a_reference_without_notes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^reference has no notes"):
        music_metrics([piece_from("empty", ())])
