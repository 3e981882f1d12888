"""What datamodules and seq_modules say of notes, each for itself as neither imports the other, is the same."""

import random

import pytest

from datamodules.music import piece_notes as of_data
from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers.midi import ALL_NOTES, ONE_VOICE
from datamodules.tokenizers.remi import RemiTokenizer
from seq_modules.systems.music_decoder import FIELDS
from seqlight.music import notes as of_model


def wild(seed: int) -> of_data.Piece:
    """Chords, unisons, notes over each other and gaps."""
    draw = random.Random(seed)
    notes = [of_data.Note(draw.randint(0, 300), draw.randint(40, 50), draw.randint(1, 60)) for _ in range(40)]
    metre = (draw.choice([2, 3, 4, 6, 9]), draw.choice([2, 4, 8, 16]))
    return of_data.Piece("wild", tuple(sorted(notes)), metre, float(draw.randint(40, 200)))


PIECES = [*etudes(4, 0), *map(wild, range(20)), of_data.Piece("none", ())]


def test_numbers_and_fields() -> None:
    assert of_data.TICKS_PER_QUARTER == of_model.TICKS_PER_QUARTER
    assert of_data.HIGHEST_PITCH == of_model.PITCHES - 1
    assert {1: RemiTokenizer.fields, 2: ONE_VOICE, 3: ALL_NOTES} == FIELDS


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.name)
def test_bars_top_voices_and_tempo(piece: of_data.Piece) -> None:
    assert of_model.top_voice(piece.notes) == [tuple(note) for note in of_data.top_voice(piece).notes]
    for tick in (0, 1, 95, 96, 97, 1000):
        assert of_model.bar_of(piece, tick) == of_data.bar(piece, tick)
    assert of_model.bar_of(piece, of_model.bar_ticks(piece)) == of_data.bar(piece, of_model.bar_ticks(piece))
    assert of_model.quarters_per_minute(piece) == piece.quarters_per_minute


def test_a_piece_without_more_is_the_same_to_both() -> None:
    ours, theirs = of_model.Excerpt("a", ()), of_data.Piece("a", ())
    assert (ours.time_signature, ours.quarters_per_minute) == (theirs.time_signature, theirs.quarters_per_minute)
