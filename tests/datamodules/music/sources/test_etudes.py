"""Etudes: reproducible, different from each other, playable on a cello, in a key, and not to be learned by counting."""

import math
from collections import Counter

import pytest

from datamodules.music.sources.etudes import HIGHEST, LOWEST, SCALES, etudes
from seqlight.music.keys import NAMES
from seqlight.music.notes import TICKS_PER_QUARTER, Piece, bar_number, top_voice


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    return etudes(300, 0)


def test_an_etude_depends_on_its_number_and_the_seed_alone(pieces: list[Piece]) -> None:
    assert etudes(10, 0) == pieces[:10]
    assert etudes(10, 1) != pieces[:10]
    assert len({piece.notes for piece in pieces}) == 300
    assert len({piece.name for piece in pieces}) == 300
    with pytest.raises(ValueError, match=r"^count must be at least 1"):
        etudes(0, 0)


def test_a_cello_can_play_them(pieces: list[Piece]) -> None:
    pitches = [note.pitch for piece in pieces for note in piece.notes]
    assert LOWEST <= min(pitches) < LOWEST + 3
    assert LOWEST + 36 <= max(pitches) <= HIGHEST
    for piece in pieces:
        assert list(piece.notes) == sorted(piece.notes)
        for number, note in enumerate(piece.notes[:-3]):  # one voice, without a gap, up to the last chord
            assert note.start + note.duration == piece.notes[number + 1].start
        assert [note.duration for note in piece.notes[-3:]] == [piece.end - piece.notes[-1].start] * 3


def test_they_are_in_their_key_and_end_on_its_tonic(pieces: list[Piece]) -> None:
    for piece in pieces:
        key, mode = piece.name.split(" in ")[1].rsplit(" ", 1)
        tonic = NAMES.index(key)
        scale = {(tonic + step) % 12 for step in SCALES[mode]} | {(tonic + 11) % 12}  # the leading note in minor
        assert {note.pitch % 12 for note in piece.notes} <= scale
        assert piece.notes[-3].pitch % 12 == tonic
        assert piece.notes[0].pitch % 12 == tonic
        bars = bar_number(piece, piece.end - 1)
        assert piece.end == bars * 4 * TICKS_PER_QUARTER * piece.time_signature[0] // piece.time_signature[1]
        # The bar before the closing two is on the dominant: its bass lies a fifth above the tonic.
        basses = [note.pitch % 12 for note in piece.notes if bar_number(piece, note.start) == bars - 2]
        assert basses[0] == (tonic + 7) % 12


def test_what_comes_next_can_be_learned(pieces: list[Piece]) -> None:
    # A table of what follows three pitches, made of other pieces, does far better than their frequencies.
    train, test = pieces[:250], pieces[250:]

    def events(some: list[Piece]) -> list[tuple[tuple[int, ...], int]]:
        voices = [[note.pitch for note in top_voice(piece).notes] for piece in some]
        return [(tuple(voice[at - 3 : at]), voice[at]) for voice in voices for at in range(3, len(voice))]

    seen, followers = Counter(pitch for _, pitch in events(train)), Counter(events(train))
    contexts = Counter(context for context, _ in events(train))
    held = events(test)
    share = {pitch: (seen[pitch] + 1) / (sum(seen.values()) + 128) for pitch in range(128)}
    counting = -sum(math.log(share[pitch]) for _, pitch in held) / len(held)
    table = -sum(
        math.log((followers[context, pitch] + 5 * share[pitch]) / (contexts[context] + 5)) for context, pitch in held
    ) / len(held)
    assert counting > 3
    assert table < counting - 0.5
