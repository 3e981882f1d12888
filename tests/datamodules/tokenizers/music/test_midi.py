"""Notes as events: exact round trips, nearest values for unseen ones, and any ids can be decoded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.music_pieces import sorted_notes
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.prelude import PRELUDE
from datamodules.tokenizers import CharTokenizer, NoteTokenizer, from_state, load, load_notes, save
from datamodules.tokenizers.music.midi import ALL_NOTES, FIELD_SETS, LOUDNESS, MOST_VALUES, ONE_VOICE
from seqlight.music.notes import Note, Piece, top_voice, transposed

NOTES = sorted_notes(latest=300, highest=127, longest=100)
LOUD = sorted_notes(latest=300, highest=127, longest=100, velocity=st.integers(1, 127))
FIELDS = st.sampled_from(FIELD_SETS)


@settings(max_examples=50, deadline=None)
@given(LOUD, FIELDS)
def test_round_trip_is_exact_for_values_seen_in_training(notes: tuple[Note, ...], fields: tuple[str, ...]) -> None:
    piece = Piece("a", notes, (3, 8), 100.0)
    tokenizer = NoteTokenizer.train([piece], fields)
    ids = tokenizer.encode(piece)
    assert tokenizer.unseen(piece) == 0
    assert (ids >= [2, *[1] * (len(fields) - 1)]).all()  # no START, END or "nothing"
    assert (ids < tokenizer.vocab_sizes).all()
    back = tokenizer.decode(ids, "a", (3, 8), 100.0)
    expected = top_voice(piece) if tokenizer.one_voice else piece
    if "velocity" not in fields:
        expected = replace(expected, notes=tuple(sorted(note._replace(velocity=80) for note in expected.notes)))
    assert back == expected


@settings(max_examples=50, deadline=None)
@given(NOTES, NOTES, st.sampled_from([ONE_VOICE, ALL_NOTES]))
def test_values_not_seen_in_training_become_the_nearest(
    notes: tuple[Note, ...], others: tuple[Note, ...], fields: tuple[str, ...]
) -> None:
    tokenizer = NoteTokenizer.train([Piece("a", notes)], fields)
    piece = top_voice(Piece("b", others)) if fields == ONE_VOICE else Piece("b", others)
    back = tokenizer.decode(tokenizer.encode(piece))
    assert len(back.notes) == len(piece.notes)
    known = [ticks for ticks in tokenizer.durations if ticks]
    found = [note.duration for note in (tokenizer.decode(tokenizer.encode(Piece("", (n,)))).notes[0] for n in others)]
    assert [abs(ticks - note.duration) for ticks, note in zip(found, others, strict=True)] == [
        min(abs(ticks - note.duration) for ticks in known) for note in others
    ]
    if tokenizer.unseen(piece) == 0:
        assert back.notes == piece.notes
    else:
        assert back.notes != piece.notes


@settings(max_examples=50, deadline=None)
@given(st.data(), FIELDS)
def test_any_ids_decode(data: st.DataObject, fields: tuple[str, ...]) -> None:
    tokenizer = NoteTokenizer.train(etudes(3, 0), fields)
    event = st.tuples(*(st.integers(0, size - 1) for size in tokenizer.vocab_sizes))
    ids = np.array(data.draw(st.lists(event, max_size=30)), dtype=np.int64).reshape(-1, len(fields))
    piece = tokenizer.decode(ids)
    assert list(piece.notes) == sorted(piece.notes)
    assert all(note.duration >= 1 and note.start >= 0 for note in piece.notes)
    ends = np.flatnonzero(ids[:, 0] == tokenizer.end_id)
    before = ids[: ends[0]] if len(ends) else ids
    assert tokenizer.decode(before) == piece
    assert tokenizer.decode(before[before[:, 0] != tokenizer.start_id]) == piece


def test_one_voice_by_hand() -> None:
    piece = Piece("", (Note(12, 60, 12), Note(24, 60, 24), Note(24, 67, 24), Note(60, 62, 6)))
    tokenizer = NoteTokenizer.train([piece], ONE_VOICE, (-2, 1))
    assert tokenizer.pitches == [None, None, None, *range(58, 69)]
    assert tokenizer.durations == [0, 6, 12, 24]
    assert tokenizer.shifts == []
    assert tokenizer.vocab_sizes == [14, 4]
    assert tokenizer.vocab_size == 18
    # rest, C, G, rest, D
    assert tokenizer.encode(piece).tolist() == [[2, 2], [5, 2], [12, 3], [2, 2], [7, 1]]


def test_all_notes_by_hand() -> None:
    piece = Piece("", (Note(12, 60, 12), Note(24, 60, 24), Note(24, 67, 24), Note(60, 62, 6)))
    tokenizer = NoteTokenizer.train([piece], ALL_NOTES)
    assert tokenizer.pitches == [None, *range(60, 68)]
    assert tokenizer.shifts == [0, 0, 0, 12, 36]
    assert tokenizer.vocab_sizes == [5, 9, 4]
    assert tokenizer.encode(piece).tolist() == [[3, 1, 2], [3, 1, 3], [2, 8, 3], [4, 3, 1]]
    # A shift beside "nothing" still counts.
    assert tokenizer.decode([[3, 0, 2], [3, 1, 0], [3, 1, 2]]).notes == (Note(36, 60, 12),)


def test_velocities_by_hand() -> None:
    piece = Piece("", (Note(12, 60, 12, 30), Note(24, 67, 24, 90), Note(60, 62, 6, 30)))
    one = NoteTokenizer.train([piece], ONE_VOICE + LOUDNESS)
    assert one.velocities == [0, 30, 90]
    # rest, C, G, rest, D; a rest has the velocity of the note before it, the first one that of the note after it
    assert one.encode(piece)[:, 2].tolist() == [1, 1, 2, 2, 1]
    every = NoteTokenizer.train([piece], ALL_NOTES + LOUDNESS, signatures=True)
    assert every.velocities == [0, 30, 90, 0]
    assert every.signature_events(piece).tolist() == [
        [every.note_sizes[0], every.note_sizes[1] + 24, every.note_sizes[2], 3]
    ]
    heard = every.decode(every.encode(Piece("", (Note(0, 60, 12, 1), Note(0, 62, 12, 61), Note(0, 64, 12, 127)))))
    assert [note.velocity for note in heard.notes] == [30, 90, 90]  # the nearest of those that training had
    assert every.unseen(Piece("", (Note(12, 60, 12, 31),))) == 1
    assert from_state(every.state()).fingerprint == every.fingerprint
    with pytest.raises(ValueError, match="velocities must be at most 127"):
        NoteTokenizer(ONE_VOICE + LOUDNESS, 40, 60, [24], velocities=[128])


def test_metres_that_change_are_told_from_the_notes_on() -> None:
    piece = Piece("", tuple(Note(24 * at, 60, 12) for at in range(6)), (3, 4), metres=((72, (2, 4)), (120, (6, 8))))
    for fields in (ONE_VOICE, ALL_NOTES):
        tokenizer = NoteTokenizer.train([piece], fields, signatures=True)
        known = tokenizer.signatures
        assert known is not None
        assert known.metres == [(2, 4), (3, 4), (6, 8)]
        events = tokenizer.encode(piece)
        onsets = [24 * at // (2 if tokenizer.one_voice else 1) for at in range(len(events))]  # rests are events too
        expected = [known.metre_id((3, 4) if at < 72 else (2, 4) if at < 120 else (6, 8)) for at in onsets]
        assert tokenizer.metre_ids(piece, events).tolist() == expected
        assert tokenizer.signature_events(piece)[0, known.metre_column] == known.metre_id(
            (6, 8)
        )  # that of what follows


def test_a_pitch_out_of_range_is_moved_by_octaves() -> None:
    tokenizer = NoteTokenizer(ONE_VOICE, 40, 60, [24])
    heard = [
        tokenizer.decode(tokenizer.encode(Piece("", (Note(0, pitch, 24),)))).notes[0].pitch
        for pitch in (0, 28, 39, 40, 60, 61, 72, 127)
    ]
    assert heard == [48, 40, 51, 40, 60, 49, 60, 55]
    narrow = NoteTokenizer(ONE_VOICE, 60, 62, [24])
    assert [
        narrow.decode(narrow.encode(transposed(Piece("", (Note(0, 60, 24),)), by))).notes[0].pitch for by in (5, -5)
    ] == [
        60,
        62,
    ]


def test_the_vocabulary_leaves_out_the_rarest_durations() -> None:
    durations = [*range(1, MOST_VALUES + 100), *range(MOST_VALUES, MOST_VALUES + 100)]
    notes, now = [], 0
    for duration in durations:
        notes.append(Note(now, 60, duration))
        now += duration
    tokenizer = NoteTokenizer.train([Piece("performance", tuple(notes))], ONE_VOICE)
    assert len(tokenizer.durations) == MOST_VALUES + 1
    assert set(range(MOST_VALUES, MOST_VALUES + 100)) <= set(tokenizer.durations)


def test_no_notes_are_no_events() -> None:
    for fields in (ONE_VOICE, ALL_NOTES):
        tokenizer = NoteTokenizer.train([PRELUDE], fields)
        assert tokenizer.encode(Piece("", ())).shape == (0, len(fields))
        assert tokenizer.decode([]).notes == ()
        with pytest.raises(ValueError, match="pieces have no notes"):
            NoteTokenizer.train([Piece("", ())], fields)


def test_the_state_restores_the_tokenizer(tmp_path: Path) -> None:
    pieces = etudes(5, 0)
    for fields in (ONE_VOICE, ALL_NOTES):
        tokenizer = NoteTokenizer.train(pieces, fields, (-5, 6))
        save(tokenizer, tmp_path / "t.ckpt")
        for again in (from_state(tokenizer.state()), load_notes(tmp_path / "t.ckpt")):
            assert isinstance(again, NoteTokenizer)
            assert again.fingerprint == tokenizer.fingerprint
            assert again.vocab_sizes == tokenizer.vocab_sizes
            assert np.array_equal(again.encode(pieces[3]), tokenizer.encode(pieces[3]))
    assert NoteTokenizer.train(pieces, ONE_VOICE).fingerprint != NoteTokenizer.train(pieces, ALL_NOTES).fingerprint


def test_text_and_note_tokenizers_are_not_interchangeable(tmp_path: Path) -> None:
    save(NoteTokenizer.train([PRELUDE], ONE_VOICE), tmp_path / "notes.ckpt")
    save(CharTokenizer("abc"), tmp_path / "text.ckpt")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*notes\.ckpt: it holds a tokenizer of notes"):
        load(tmp_path / "notes.ckpt")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*text\.ckpt: it holds a tokenizer of text"):
        load_notes(tmp_path / "text.ckpt")


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    state = NoteTokenizer.train([PRELUDE], ONE_VOICE).state()
    for change, message in (
        ({"fields": ["pitch"]}, "fields must be one of "),
        ({"lowest": None}, "kind 'notes' is not known"),
        ({"durations": ["6"]}, "durations must be whole numbers"),
    ):
        torch.save({"tokenizer": state | change}, tmp_path / "x.ckpt")
        with pytest.raises(ValueError, match=rf"^tokenizer_path .*{message}"):
            load_notes(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("duration", "pitch"), 0, 5, [1]), "fields"),
        ((ONE_VOICE, 6, 5, [1]), "highest must be at least 6 and at most 127, not 5"),
        ((ONE_VOICE, 0, 128, [1]), "highest must be at least 0 and at most 127, not 128"),
        ((ONE_VOICE, 0, 5, []), "durations"),
        ((ONE_VOICE, 0, 5, [0]), "durations"),
        ((ONE_VOICE, 0, 5, ["6"]), "durations"),
        ((ONE_VOICE, 0, 5, [6, "12", [3]]), "durations"),
        ((ALL_NOTES, 0, 5, [1], [-1]), "shifts"),
        ((ALL_NOTES, 0, 5, [1]), "shifts"),
    ],
)
def test_invalid_arguments_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NoteTokenizer(*arguments)


def test_ids_outside_the_vocabulary_are_refused() -> None:
    tokenizer = NoteTokenizer.train([PRELUDE], ONE_VOICE)
    for ids in ([[2, tokenizer.vocab_sizes[1]]], [[-1, 0]], [[1, 1, 1]], [3]):
        with pytest.raises(ValueError, match=r"^ids "):
            tokenizer.decode(ids)
