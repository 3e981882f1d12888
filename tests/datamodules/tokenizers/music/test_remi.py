"""REMI through miditok: round trips, tokens by hand, counts of notes, and the state."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.music_pieces import sorted_notes
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.music.event_windows import EvalEvents, TrainEvents
from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import NoteTokenizer, RemiTokenizer, from_state, load_notes, save
from datamodules.tokenizers.music.midi import ALL_NOTES, ONE_VOICE
from datamodules.tokenizers.music.remi import BAR
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Note, Piece, top_voice, transposed

pytest.importorskip("miditok")

NOTES = sorted_notes(latest=500, highest=127, longest=288)
VOICES = st.sampled_from([True, False])


@settings(max_examples=40, deadline=None)
@given(NOTES, VOICES)
def test_round_trip_is_exact_within_the_range(notes: tuple[Note, ...], one_voice: bool) -> None:
    piece = Piece("a", notes, (3, 8), 100.0)
    tokenizer = RemiTokenizer.train([piece], one_voice)
    ids = tokenizer.encode(piece)
    assert tokenizer.unseen(piece) == 0
    assert tokenizer.decode(ids, "a", (3, 8), 100.0) == (top_voice(piece) if one_voice else piece)
    events = NoteTokenizer.train([piece], ONE_VOICE if one_voice else ALL_NOTES).encode(piece)
    counts = tokenizer.notes_at(piece, ids)
    assert counts.shape == (len(ids),)
    assert counts.sum() == len(events)
    assert {tokenizer.kinds[token] for token in ids[counts > 0, 0]} == {"Pitch"}


def test_tokens_of_a_piece_by_hand() -> None:
    tokenizer = RemiTokenizer(50, 70, False)
    piece = Piece("", (Note(12, 60, 12), Note(12, 64, 30), Note(BAR * 2 + 1, 62, 288)))
    names = [tokenizer.vocabulary[token] for token in tokenizer.encode(piece)[:, 0]]
    assert names == [
        "Bar_None", "Position_12", "Pitch_60", "Duration_0.12.24", "Pitch_64", "Duration_1.6.24",
        "Bar_None", "Bar_None", "Position_1", "Pitch_62", "Duration_12.0.24",
    ]  # fmt: skip
    ids = tokenizer.encode(piece)[:, 0]
    assert [tokenizer.values[token] for token in ids] == [0, 12, 60, 12, 64, 30, 0, 0, 1, 62, 288]
    assert tokenizer.origin + sum(tokenizer.shifts[token] for token in ids) == 2 * BAR
    assert tokenizer.notes_at(piece, ids[:, None]).tolist() == [0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0]
    one = RemiTokenizer(50, 70, True)  # a rest before the first of two notes, and before the second
    assert one.notes_at(piece, one.encode(piece)).tolist() == [0, 0, 2, 0, 0, 0, 0, 2, 0]
    assert [pitch for pitch in tokenizer.pitches if pitch is not None] == list(range(50, 71))


def test_notes_outside_the_range_become_the_nearest() -> None:
    tokenizer = RemiTokenizer(50, 70, False)
    piece = Piece("", (Note(0, 40, 24), Note(24, 60, 289), Note(50, 90, 24)))
    assert tokenizer.decode(tokenizer.encode(piece)).notes == (Note(0, 52, 24), Note(24, 60, 288), Note(50, 66, 24))
    assert tokenizer.unseen(piece) == 3


@settings(max_examples=40, deadline=None)
@given(st.data(), VOICES)
def test_any_ids_decode(data: st.DataObject, one_voice: bool) -> None:
    tokenizer = RemiTokenizer(50, 70, one_voice)
    ids = np.array(data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=30)), dtype=np.int64)
    piece = tokenizer.decode(ids[:, None])
    assert list(piece.notes) == sorted(piece.notes)
    assert all(note.duration >= 1 and note.start >= 0 and 50 <= note.pitch <= 70 for note in piece.notes)
    ends = np.flatnonzero(ids == tokenizer.end_id)
    before = ids[: ends[0]] if len(ends) else ids
    assert tokenizer.decode(before[:, None]) == piece
    with pytest.raises(ValueError, match=r"^ids "):
        tokenizer.decode([[tokenizer.vocab_size]])
    with pytest.raises(ValueError, match=r"^ids "):
        tokenizer.decode([[1, 1]])


def test_the_state_restores_the_tokenizer(tmp_path: Path) -> None:
    pieces = etudes(3, 0)
    for one_voice in (True, False):
        tokenizer = RemiTokenizer.train(pieces, one_voice, (-5, 6))
        save(tokenizer, tmp_path / "t.ckpt")
        for again in (from_state(tokenizer.state()), load_notes(tmp_path / "t.ckpt")):
            assert isinstance(again, RemiTokenizer)
            assert again.fingerprint == tokenizer.fingerprint
            assert np.array_equal(again.encode(pieces[1]), tokenizer.encode(pieces[1]))
    state = tokenizer.state()
    state["vocabulary"] = state["vocabulary"][::-1]
    with pytest.raises(ValueError, match="makes other tokens"):
        from_state(state)
    with pytest.raises(ValueError, match=r"^highest must be at least 10 and at most 127, not 9"):
        RemiTokenizer(9, 9, True)
    one_pitch = RemiTokenizer.train([Piece("", (Note(0, 127, 1),))], True)
    assert [pitch for pitch in one_pitch.pitches if pitch is not None] == [126, 127]
    with pytest.raises(ValueError, match="nothing to learn"):
        RemiTokenizer.train([Piece("", ())], True)


@pytest.mark.parametrize("one_voice", [True, False])
def test_evaluation_counts_as_many_notes_as_events(one_voice: bool) -> None:
    pieces = etudes(4, 2)
    tokenizer = RemiTokenizer.train(pieces, one_voice)
    windows = EvalEvents(pieces, tokenizer, 24)
    batch = windows.__getitems__(range(len(windows)))
    events = NoteTokenizer.train(pieces, ONE_VOICE if one_voice else ALL_NOTES)
    assert batch["notes"].sum() == sum(len(events.encode(piece)) + 1 for piece in pieces)
    labels = batch["labels"][batch["labels"] != IGNORED]
    expected = [[*tokenizer.encode(piece)[:, 0].tolist(), tokenizer.end_id] for piece in pieces]
    assert labels.tolist() == [token for tokens in expected for token in tokens]


def test_training_windows_are_cut_from_one_transposed_piece() -> None:
    pieces, length = etudes(3, 2), 33
    tokenizer = RemiTokenizer.train(pieces, False, (-5, 6))
    places: dict[bytes, int] = {}
    for piece in pieces:
        for semitones in range(-5, 7):
            ids = tokenizer.encode(transposed(piece, semitones))
            sequence = np.concatenate([[[tokenizer.start_id]], ids, [[tokenizer.end_id]]])
            runs = (sequence[at : at + length].tobytes() for at in range(len(sequence) - length + 1))
            places |= dict.fromkeys(runs, semitones)
    batch = TrainEvents(pieces, tokenizer, length - 1, None, 0, (-5, 6)).__getitems__(range(100))
    rows = torch.cat([batch["input_ids"][:, :1], batch["labels"]], dim=1).numpy()
    assert {places[row.tobytes()] for row in rows} == set(range(-5, 7))
