"""The context: intervals, keys and what is retrieved, against counting by hand, and appended step by step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seq_modules.nets.music import event_context
from seq_modules.nets.music.event_context import INTERVALS, METRE_BINS, NO_INTERVAL, PERIODS, RECENT, EventContext
from seq_modules.nets.retrieval import MAX_MATCH, match_lengths

PITCHES, DURATIONS, SHIFTS = 12, 4, 5


def drawn(fields: int, batch: int, steps: int, seed: int) -> tuple[Tensor, int]:
    """Events that repeat themselves a lot, START first, with rests in one voice; and the first pitch's id."""
    generator = torch.Generator().manual_seed(seed)
    first = 3 if fields == 2 else 1
    pitches = torch.randint(2 if fields == 2 else 1, 7, (batch, steps), generator=generator)
    parts = [pitches, torch.randint(1, 3, (batch, steps), generator=generator)]
    if fields == 3:
        parts.insert(0, torch.randint(2, 4, (batch, steps), generator=generator))
    events = torch.stack(parts, dim=-1)
    events[:, 0] = 0
    return events, first


def by_hand(row: list[list[int]], first: int) -> tuple[list[int], list[tuple[object, object]]]:
    """Last pitches, and what each event is compared by: whole, and its interval."""
    anchors, keys, last = [], [], -1
    for position, event in enumerate(row):
        pitch = event[-2]
        interval: object = ("rest", pitch)
        if pitch >= first:
            interval = "first" if last < 0 else pitch - last
            last = pitch
        mark = event[0] < 2
        keys.append(((position, "mark"),) * 2 if mark else ((interval, *event[:-2], event[-1]), interval))
        anchors.append(last)
    return anchors, keys


def run(keys: list[tuple[object, object]], at: int, then: int, which: int) -> int:
    count = 0
    while then - count >= 0 and keys[at - count][which] == keys[then - count][which]:
        count += 1
    return min(count, MAX_MATCH)


@given(st.sampled_from([2, 3]), st.integers(1, 60), st.integers(1, 5), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_retrieved_is_what_counting_finds(fields: int, steps: int, size: int, seed: int) -> None:
    events, first = drawn(fields, 2, steps, seed)
    context = EventContext(events, first, PITCHES - 1)
    retrieved = context.retrieve(size)
    for b, row in enumerate(events.tolist()):
        anchors, keys = by_hand(row, first)
        assert context.anchors[b].tolist() == anchors
        for t in range(steps):
            found = []
            for then in range(t):
                lengths = [run(keys, t, then, which) for which in range(2)]
                if max(lengths):
                    found.append((*lengths, then))
            for m, (whole, interval, then) in enumerate(sorted(found, reverse=True)[:size]):
                event = list(row[then + 1])
                if event[-2] >= first:
                    event[-2] += anchors[t] - anchors[then]
                inside = event[-2] < first or first <= event[-2] < PITCHES
                if event[-2] < first and row[then + 1][-2] >= first:
                    inside = False  # moved below the lowest pitch
                if row[then + 1][-2] >= first and min(anchors[t], anchors[then]) < 0:
                    inside = False  # from no pitch, it is moved nowhere
                assert retrieved.elements[b, t, m].tolist() == (event if inside else [0] * fields)
                most = t - then  # of a repetition no more than the lag is counted
                assert retrieved.match_lengths[b, t, m].tolist() == (
                    [min(whole, most), min(interval, most)] if inside else [0, 0]
                )
            assert not retrieved.match_lengths[b, t, len(found) :].any()
            assert not retrieved.elements[b, t, len(found) :].any()


@pytest.mark.parametrize("fields", [2, 3])
def test_appended_step_by_step_is_the_same(fields: int) -> None:
    events, first = drawn(fields, 3, 90, 7)
    ticks = torch.tensor([0, 6, 12, 24, 18])
    whole = EventContext(events, first, PITCHES - 1, ticks)
    retrieved = whole.retrieve(4)
    context = EventContext(events[:, :30], first, PITCHES - 1, ticks)
    lengths = context.last_lengths()
    assert torch.equal(lengths, match_lengths(context.keys)[:, -1])
    for t in range(30, 90):
        context.append(events[:, t])
        lengths = context.last_lengths(lengths)
        for ours, theirs in zip(context.retrieve_last(lengths, 4), retrieved, strict=True):
            assert torch.equal(ours, theirs[:, t])
    assert torch.equal(context.intervals(), whole.intervals())
    assert torch.equal(context.profiles(90), whole.profiles(90))
    assert torch.equal(context.profiles(1), whole.profiles(90)[:, -1:])
    assert int(retrieved.match_lengths.max()) > 3


def test_repetitions_make_no_long_match_and_are_counted() -> None:
    phrase = [[6, 1], [7, 1], [9, 2]]
    for notes, period in ((phrase[:1], 1), (phrase, 3)):
        events = torch.tensor([notes * 5])
        retrieved = EventContext(events, 3, PITCHES - 1).retrieve(2)
        # The first note follows none, so that the phrase agrees in its intervals from the second note on.
        assert retrieved.match_lengths[0, -1].tolist() == [[period, period], [2 * period, 2 * period]]
        assert retrieved.repeat_buckets[0, -1].tolist() == [
            (4 * period - 1) // period,
            (3 * period - 1) // (2 * period),
        ]
    once = torch.tensor([[[6, 1], [7, 1], [9, 2], [3, 0], [6, 1], [7, 1]]])
    assert not EventContext(once, 3, PITCHES - 1).retrieve(1).repeat_buckets.any()


def test_a_phrase_moved_up_is_retrieved_where_the_tune_now_stands() -> None:
    tune = [(5, 1), (7, 2), (4, 1), (8, 3), (6, 1)]
    events = torch.tensor([[(0, 0), *tune, (2, 3), *[(p + 3, d) for p, d in tune[:-1]]]])
    retrieved = EventContext(events, 3, PITCHES - 1).retrieve(1)
    assert retrieved.elements[0, -1, 0].tolist() == [9, 1]  # 6 moved by 3
    assert retrieved.match_lengths[0, -1, 0].tolist() == [3, 3]  # three intervals; what led to the first note differs
    assert not EventContext(events, 3, 8).retrieve(1).match_lengths[0, -1].any()  # 9 is no pitch there


def test_intervals_skip_rests_and_begin_with_none() -> None:
    events = torch.tensor([[(0, 0), (5, 1), (7, 1), (2, 1), (4, 1)]])
    assert EventContext(events, 3, PITCHES - 1).intervals()[0].tolist() == [
        [NO_INTERVAL] * INTERVALS,
        [NO_INTERVAL, NO_INTERVAL],
        [2, NO_INTERVAL],
        [0, 2],
        [-3, -3],
    ]


def test_profiles_count_the_scale_from_the_last_pitch() -> None:
    events, first = drawn(2, 2, 60, 5)
    profiles = EventContext(events, first, PITCHES - 1).profiles(60)
    for b, row in enumerate(events.tolist()):
        for t in range(60):
            for part, begin in enumerate((0, max(0, t - RECENT + 1))):
                pitches = [pitch for pitch, _ in row[begin : t + 1] if pitch >= first]
                before = [pitch for pitch, _ in row[: t + 1] if pitch >= first]
                shares = [
                    sum((p - before[-1]) % 12 == k for p in pitches) / len(pitches) if pitches else 0 for k in range(12)
                ]
                found = profiles[b, t, 12 * part : 12 * part + 12] / 12**0.5
                torch.testing.assert_close(found, torch.tensor(shares, dtype=torch.float32))
    assert not profiles[..., 24:].any()  # no metre without ticks


@pytest.mark.parametrize("fields", [2, 3])
def test_profiles_count_how_often_notes_begin_so_many_sixteenths_from_now(fields: int) -> None:
    events, first = drawn(fields, 2, 60, 5)
    ticks = torch.tensor([0, 6, 18, 30] if fields == 2 else [0, 0, 0, 12, 18])
    profiles = EventContext(events, first, PITCHES - 1, ticks).profiles(60)[..., 24:].split(METRE_BINS, dim=-1)
    for b, row in enumerate(events.tolist()):
        clock, begun, ends = 0, [], []
        for event in row:
            if fields == 3:
                clock += int(ticks[event[0]])
            begun.append((clock, event[-2] >= first))
            if fields == 2:
                clock += int(ticks[event[1]])
            ends.append(clock)
        for t in range(60):
            for part, begin in enumerate((0, max(0, t - RECENT + 1))):
                since = ends[begin - 1] if part and begin else 0
                expected = []
                for period in PERIODS:
                    bars = (ends[t] - since) / period + 1
                    for sixteenth in range(period // 6):
                        on = (ends[t] + 6 * sixteenth) % period
                        expected.append(sum(at % period == on and sounds for at, sounds in begun[begin : t + 1]) / bars)
                torch.testing.assert_close(profiles[part][b, t], torch.tensor(expected))


def test_what_follows_has_no_influence() -> None:
    events, first = drawn(2, 1, 50, 3)
    other = events.clone()
    other[:, 30:] = 4
    for ours, theirs in zip(
        EventContext(events, first, PITCHES - 1).retrieve(3),
        EventContext(other, first, PITCHES - 1).retrieve(3),
        strict=True,
    ):
        assert torch.equal(ours[:, :30], theirs[:, :30])


def test_rows_worked_on_apart_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    events, first = drawn(3, 5, 40, 1)
    together = EventContext(events, first, PITCHES - 1).retrieve(3)
    monkeypatch.setattr(event_context, "CELLS", 40 * 40 * 2)
    for ours, theirs in zip(EventContext(events, first, PITCHES - 1).retrieve(3), together, strict=True):
        assert torch.equal(ours, theirs)


def test_a_signature_is_no_note() -> None:
    notes = [(0, 0), (5, 1), (7, 1), (5, 1), (7, 1)]
    plain, signed = (EventContext(torch.tensor([row]), 3, PITCHES - 1) for row in (notes, [(PITCHES + 4, 9), *notes]))
    assert torch.equal(signed.anchors[:, 1:], plain.anchors)
    assert torch.equal(signed.intervals()[:, 1:], plain.intervals())
    assert torch.equal(signed.profiles(5), plain.profiles(5))
    for ours, theirs in zip(signed.retrieve(2), plain.retrieve(2), strict=True):
        assert torch.equal(ours[:, 1:], theirs)


@pytest.mark.parametrize("fields", [2, 3])
def test_a_field_behind_the_duration_is_retrieved_and_changes_nothing_else(fields: int) -> None:
    events, first = drawn(fields, 3, 40, 7)
    ticks, loud = torch.tensor([0, 6, 12, 24, 18]), torch.arange(120).view(3, 40, 1) % 7
    without = EventContext(events, first, PITCHES - 1, ticks)
    context = EventContext(torch.cat((events, loud), dim=-1)[:, :30], first, PITCHES - 1, ticks, pitch=fields - 2)
    for t in range(30, 40):
        context.append(torch.cat((events, loud), dim=-1)[:, t])
    assert torch.equal(context.profiles(40), without.profiles(40))
    assert torch.equal(context.intervals(), without.intervals())
    ours, theirs = context.retrieve(4), without.retrieve(4)
    assert torch.equal(ours.match_lengths, theirs.match_lengths)
    assert torch.equal(ours.elements[..., :-1], theirs.elements)
    assert ours.elements[..., -1].any()
