"""Copies: planted copies are found, and random pieces give the results of a comparison of all pairs."""

import random

import pytest
from helpers.music_pieces import melody, piece_from, piece_of

from seqlight.music.copying import CopyIndex, Match
from seqlight.music.notes import Note, top_voice


def quadratic(voice: list, others: list[list]) -> list[int]:
    """Notes of the longest copy that ends at each note, by comparing all pairs of places."""
    found = []
    for at in range(len(voice)):
        best = 0
        for other in others:
            for end in range(len(other)):
                length = 0
                while length <= min(at, end):
                    (_, p, d, _), (_, q, e, _) = voice[at - length], other[end - length]
                    if d != e or p - q != voice[at][1] - other[end][1]:
                        break
                    length += 1
                best = max(best, length)
        found.append(best)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_a_search_over_all_pairs_of_positions(seed: int) -> None:
    generator = random.Random(seed)
    few = {"pitches": (60, 62, 64), "durations": (6, 12)}  # so that there is much in common
    training = [melody(generator.randrange(1, 40), generator, **few) for _ in range(4)]
    piece, index = melody(60, generator, **few), CopyIndex(training)
    matches = index.matches(piece.notes)
    expected = quadratic(list(piece.notes), [list(other.notes) for other in training])
    assert [match.notes for match in matches] == expected
    for at, (notes, number, end) in enumerate(matches):  # and it is where it is said to be
        if notes:
            there = training[number].notes[end - notes + 1 : end + 1]
            here = piece.notes[at - notes + 1 : at + 1]
            assert {p - q for (_, p, *_), (_, q, *_) in zip(here, there, strict=True)} == {here[0][1] - there[0][1]}
            assert [note.duration for note in here] == [note.duration for note in there]
    covered = {at - back for at, match in enumerate(matches) if match.notes >= 4 for back in range(match.notes)}
    assert index.lengths(piece, 4) == (max(expected), len(covered), 60)


@pytest.mark.parametrize("semitones", [0, 7, -5])
def test_a_planted_copy_is_found_with_its_place_and_key(semitones: int) -> None:
    generator = random.Random(1)
    training = [melody(200, generator, name=f"piece {number}") for number in range(5)]
    source = training[3].notes[80:100]
    own = melody(120, generator).notes
    planted = [(pitch + semitones, duration) for _, pitch, duration, _ in source]
    # Beside the copy stand durations that the training pieces do not have: it is exactly twenty notes long.
    events = [*[note[1:3] for note in own[:50]], (50, 1), *planted, (50, 1), *[note[1:3] for note in own[50:]]]
    piece = piece_of(events)
    copy = CopyIndex(training).longest(piece)
    assert (copy.notes, copy.source, copy.semitones) == (20, "piece 3", semitones)
    assert copy.source_bars == (source[0][0] // 96 + 1, source[-1][0] // 96 + 1)
    assert copy.bars == (piece.notes[51][0] // 96 + 1, piece.notes[70][0] // 96 + 1)


def test_a_different_duration_or_interval_ends_a_copy() -> None:
    notes = [(60 + number * number % 11, 6) for number in range(12)]
    index = CopyIndex([piece_of(notes)])
    assert index.longest(piece_of(notes)).notes == 12
    assert index.longest(piece_of([*notes[:5], (notes[5][0], 7), *notes[6:]])).notes == 6  # the longer rest of both
    higher = [*notes[:7], *[(pitch + 1, duration) for pitch, duration in notes[7:]]]
    assert index.longest(piece_of(higher)).notes == 7


def test_no_copy_extends_over_two_pieces_or_an_empty_one() -> None:
    first, second = [(60, 6), (61, 7), (63, 8)], [(66, 9), (70, 10), (75, 11)]
    index = CopyIndex([piece_of(first), piece_from("empty", ()), piece_of(second)])
    assert [match.notes for match in index.matches(piece_of(first + second).notes)] == [1, 2, 3, 1, 2, 3]
    assert index.longest(piece_from("empty", ())).notes == 0
    assert index.longest(piece_of([(60, 5)])).source == ""
    assert index.matches(piece_of([(60, 5)]).notes) == [Match(0, -1, -1)]
    assert CopyIndex([]).longest(piece_of(first)).notes == 0


def test_bars_are_counted_in_the_metre_of_the_piece() -> None:
    notes = [(60 + number * number % 11, 24) for number in range(30)]
    source = piece_of(notes, name="minuet", time_signature=(3, 4))
    copy = CopyIndex([source]).longest(piece_of(notes[9:16]))
    assert copy.source_bars == (4, 6)
    assert copy.bars == (1, 2)


def test_a_chord_counts_as_its_highest_note() -> None:
    plain = piece_of([(60, 12), (64, 12), (62, 12), (67, 12)])
    chords = piece_from("chords", tuple(sorted([*plain.notes, (0, 40, 48), (12, 45, 12), (24, 50, 24)])))
    assert top_voice(chords).notes == plain.notes
    assert CopyIndex([chords]).longest(plain).notes == 4


def test_a_note_of_the_top_voice_ends_where_the_next_begins() -> None:
    piece = piece_from("held", [(0, 60, 50), (12, 40, 6), (24, 62, 12)])
    assert top_voice(piece).notes == (Note(0, 60, 12), Note(12, 40, 6), Note(24, 62, 12))
