"""Copies and settings of one tune are told, whatever the key; chance likeness is not."""

import random

from datamodules.music.kinship import PHRASES, families, note_traits, tune_traits
from datamodules.music.sources.etudes import etudes
from seqlight.music.notes import TICKS_PER_QUARTER, Note, Piece, top_voice, transposed


def setting(tune: list[int], seed: int, name: str, passing: bool = False, upbeat: int = 0) -> Piece:
    """A tune in quarters with other voices below it, with passing notes in eighths and rests before it if asked for."""
    draw, notes = random.Random(seed), []
    for quarter, pitch in enumerate(tune, upbeat):
        start = quarter * TICKS_PER_QUARTER
        halves = (12, 12) if passing and draw.random() < 0.4 else (24,)
        notes += [Note(start + 12 * half, pitch + half, ticks) for half, ticks in enumerate(halves)]
        notes += [Note(start, pitch - draw.randint(3, 20), 24) for _ in range(3)]
    return Piece(name, tuple(sorted(notes)))


def tune(seed: int, quarters: int = 40) -> list[int]:
    draw, pitches = random.Random(seed), [67]
    while len(pitches) < quarters:
        pitches.append(min(max(pitches[-1] + draw.choice((-3, -2, -1, 0, 1, 2, 3)), 60), 77))
    return pitches


def test_settings_of_a_tune_are_a_family_in_any_key_with_any_voices() -> None:
    first, second = tune(0), tune(1)
    pieces = [
        setting(first, 10, "a"),
        setting(second, 11, "b"),
        transposed(setting(first, 12, "c", passing=True), 3),
        setting(second[5:], 13, "d", upbeat=1),
        setting(tune(2), 14, "e"),
    ]
    for of in (pieces, [top_voice(piece) for piece in pieces]):
        assert families(of, tune_traits) == [0, 1, 0, 1, 4]
        assert families(of, note_traits) == [0, 1, 2, 3, 4]


def test_a_family_holds_together_through_pieces_between() -> None:
    first, second = tune(0), tune(1)
    medley = first[: PHRASES + 5] + second[-PHRASES - 5 :]
    pieces = [setting(first, 1, "a"), setting(second, 2, "b"), setting(tune(3), 3, "c"), setting(medley, 4, "d")]
    assert families(pieces[:3], tune_traits) == [0, 1, 2]
    assert families(pieces, tune_traits) == [0, 0, 2, 0]


def test_a_shorter_stretch_is_no_kinship() -> None:
    shared = tune(0)[:PHRASES]  # one interval less
    pieces = [setting(shared + [pitch + 40 for pitch in tune(5)], 1, "a"), setting(shared + tune(6)[3:], 2, "b")]
    assert families(pieces, tune_traits) == [0, 1]
    longer = tune(0)[: PHRASES + 1]
    pieces = [setting(longer + [pitch + 40 for pitch in tune(5)], 1, "a"), setting(longer + tune(6)[3:], 2, "b")]
    assert families(pieces, tune_traits) == [0, 0]


def test_copies_are_all_notes_in_whatever_key() -> None:
    pieces = etudes(6, 0)
    again = [transposed(pieces[2], 1), Piece("less", pieces[4].notes[:-1]), Piece("none", ()), Piece("also none", ())]
    assert families([*pieces, *again], note_traits) == [0, 1, 2, 3, 4, 5, 2, 7, 8, 9]


def test_pieces_of_a_few_notes_are_kin_of_their_copies_alone() -> None:
    short = [setting(tune(0)[:5], 1, "a"), setting(tune(0)[:5], 2, "b"), transposed(setting(tune(0)[:5], 1, "c"), 2)]
    assert families(short, tune_traits) == [0, 1, 0]
