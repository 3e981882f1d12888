"""Pieces: bars, the top voice, transposition, note values and excerpts."""

from dataclasses import replace

import pytest
from helpers.music_pieces import tune

from datamodules.music.sources.etudes import etudes
from seqlight.music.bars import end_of_bars
from seqlight.music.notes import (
    Note,
    Piece,
    bar_number,
    bar_starts,
    bar_ticks,
    excerpts,
    first_bars,
    metre_at,
    seconds_at,
    stretched,
    top_voice,
    transposed,
)

CHORDS = Piece(
    "chords",
    (Note(0, 40, 48), Note(0, 55, 48), Note(0, 64, 24), Note(24, 50, 12), Note(48, 60, 96), Note(96, 36, 24)),
)


def test_the_top_voice_keeps_every_onset_and_one_note_at_a_time() -> None:
    voice = top_voice(CHORDS)
    assert voice.notes == (Note(0, 64, 24), Note(24, 50, 12), Note(48, 60, 48), Note(96, 36, 24))
    assert top_voice(voice) == voice
    assert (voice.end, CHORDS.end) == (120, 144)
    for piece in etudes(20, 3):
        voice = top_voice(piece)
        assert [note.start for note in voice.notes] == sorted({note.start for note in piece.notes})
        assert all(a.start + a.duration <= b.start for a, b in zip(voice.notes, voice.notes[1:], strict=False))


def test_a_piece_without_notes() -> None:
    assert top_voice(Piece("", ())) == Piece("", ())
    assert Piece("", ()).end == 0


@pytest.mark.parametrize(
    ("metre", "tick", "number"),
    [
        ((4, 4), 95, 1),
        ((4, 4), 96, 2),
        ((3, 4), 72, 2),
        ((6, 8), 71, 1),
        ((3, 8), 36, 2),
        ((3, 32), 17, 2),
        ((2, 2), 191, 2),
    ],
)
def test_bars(metre: tuple[int, int], tick: int, number: int) -> None:
    assert bar_number(Piece("", (), metre), tick) == number


def test_first_bars() -> None:
    assert [note.start for note in first_bars(CHORDS, 1).notes] == [0, 0, 0, 24, 48]
    assert first_bars(CHORDS, 2) == CHORDS


def test_transposition_keeps_intervals_and_times() -> None:
    higher = transposed(CHORDS, 7)
    assert [b.pitch - a.pitch for a, b in zip(CHORDS.notes, higher.notes, strict=True)] == [7] * 6
    assert transposed(higher, -7) == CHORDS
    with pytest.raises(ValueError, match=r"^semitones -37 moves pitch 36 out"):
        transposed(CHORDS, -37)


def test_note_values_are_stretched_to_whole_ticks_or_refused() -> None:
    half = stretched(CHORDS, 1, 2)
    assert half is not None
    assert half.notes[3] == Note(12, 50, 6)
    assert stretched(half, 2) == CHORDS
    for metre, doubled, halved in (((3, 4), (3, 2), (3, 8)), ((2, 1), (4, 1), (2, 2)), ((12, 8), (12, 4), (12, 16))):
        piece = Piece("", (Note(0, 60, 12),), metre)
        assert [stretched(piece, *by).time_signature for by in ((2, 1), (1, 2))] == [doubled, halved]
    assert stretched(Piece("", (Note(0, 60, 3),)), 1, 2) is None
    assert stretched(Piece("", (Note(3, 60, 4),)), 1, 2) is None


def test_excerpts_have_equal_lengths_and_keep_their_onsets() -> None:
    piece, short = tune(100, 0, name="long"), tune(10, 1, name="short")
    parts = excerpts([piece, short], 32)
    assert [(part.name, len(part.notes)) for part in parts] == [("long", 32)] * 3 + [("short", 10)]
    assert parts[2].notes == piece.notes[64:96]
    with pytest.raises(ValueError, match=r"^length must be at least 1"):
        excerpts([piece], 0)


CHANGING = Piece(
    "changing", tuple(Note(24 * at, 60, 24) for at in range(14)), (3, 4), 60.0,
    metres=((144, (2, 4)), (228, (6, 8))), tempos=((24, 120.0), (144, 30.0)),
)  # fmt: skip


def test_bars_follow_the_time_signatures() -> None:
    # Two bars of 3/4, two of 2/4 of which a change cuts the second short, then 6/8.
    assert bar_starts(CHANGING, 336) == [0, 72, 144, 192, 228, 300]
    counted = [sum(start <= tick for start in bar_starts(CHANGING, tick + 1)) for tick in range(0, 500, 7)]
    assert [bar_number(CHANGING, tick) for tick in range(0, 500, 7)] == counted
    assert [bar_ticks(CHANGING, tick) for tick in (0, 143, 144, 228)] == [72, 72, 48, 72]
    assert [metre_at(CHANGING, tick) for tick in (0, 144, 500)] == [(3, 4), (2, 4), (6, 8)]
    begun = first_bars(CHANGING, 3)
    assert [note.start for note in begun.notes] == [24 * at for at in range(8)]
    assert (begun.metres, begun.tempos) == (CHANGING.metres[:1], CHANGING.tempos)
    assert end_of_bars(begun, 2) == 192 + 2 * 48
    assert end_of_bars(replace(CHANGING, notes=CHANGING.notes[:6]), 1) == 144 + 48  # the new metre begins there
    doubled = stretched(CHANGING, 2)
    assert doubled is not None
    assert bar_starts(doubled, 672) == [2 * tick for tick in bar_starts(CHANGING, 336)]


def test_seconds_follow_the_tempos() -> None:
    assert [seconds_at(CHANGING, tick) for tick in (0, 24, 36, 144, 168)] == [0, 1, 1.25, 3.5, 5.5]
    assert seconds_at(Piece("a", (), quarters_per_minute=90.0), 48) == pytest.approx(4 / 3)
