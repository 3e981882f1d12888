"""Metre and key as an event: the notes stay the same, and every metre and key has its own id."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import NoteTokenizer, from_state, load_notes
from datamodules.tokenizers.music.midi import ALL_NOTES, ONE_VOICE
from datamodules.tokenizers.music.signatures import KEYS, Signatures, parse_metre
from seqlight.music.notes import Note, Piece, transposed

KEY = st.tuples(st.integers(0, 11), st.sampled_from(["major", "minor"]))
METRE = st.tuples(st.integers(1, 64), st.sampled_from([1, 2, 4, 8, 16, 32]))
NOTES = st.lists(
    st.builds(Note, st.integers(0, 300), st.integers(12, 115), st.integers(1, 100)), min_size=1, max_size=20
).map(lambda notes: tuple(sorted(notes)))
FIELDS = st.sampled_from([ONE_VOICE, ALL_NOTES])


@settings(max_examples=50, deadline=None)
@given(NOTES, METRE, st.none() | KEY, FIELDS)
def test_notes_are_the_same_with_and_without_signatures(
    notes: tuple[Note, ...], metre: tuple[int, int], key: tuple[int, str] | None, fields: tuple[str, ...]
) -> None:
    piece = Piece("a", notes, metre, 100.0, key)
    plain, told = (NoteTokenizer.train([piece], fields, (-5, 6), signatures=on) for on in (False, True))
    assert plain.signature_events(piece).shape == (0, len(fields))
    assert plain.note_sizes == plain.vocab_sizes == told.note_sizes
    assert np.array_equal(told.encode(piece), plain.encode(piece))
    signature = told.signature_events(piece)
    assert signature.shape == (1, len(fields))
    assert (signature >= told.note_sizes).all()  # no id of a note's
    assert (signature < told.vocab_sizes).all()
    before = np.concatenate([signature, told.encode(piece)])
    assert told.decode(before, "a", metre, 100.0) == plain.decode(plain.encode(piece), "a", metre, 100.0)
    assert told.unseen(piece) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(METRE, min_size=1, max_size=5), METRE, KEY, st.integers(-12, 12), st.sampled_from([2, 3]))
def test_transposition_changes_the_key_and_not_the_metre(
    metres: list[tuple[int, int]], metre: tuple[int, int], key: tuple[int, str], semitones: int, fields: int
) -> None:
    signatures = Signatures([9, 30, 20][-fields:], metres, fields - 2)
    moved = signatures.transposed(signatures.event(metre, key)[None], np.array([semitones]))
    assert np.array_equal(moved[0], signatures.event(metre, ((key[0] + semitones) % 12, key[1])))
    untold = signatures.event(metre, None)
    assert np.array_equal(signatures.transposed(untold, np.array(semitones)), untold)
    assert np.array_equal(signatures.masked(moved, np.array([True]), np.array([False]))[0], untold)
    nothing = signatures.masked(moved, np.array([True]), np.array([True]))[0]
    unknown = next((beats, 1) for beats in range(1, 65) if (beats, 1) not in metres)
    assert np.array_equal(nothing, signatures.event(unknown, None))


def test_every_metre_and_key_has_an_id_of_its_own() -> None:
    metres = [(3, 4), (4, 4), (6, 8)]
    signatures = Signatures([7, 5], metres, 0)
    keys = [*((tonic, mode) for mode in ("major", "minor") for tonic in range(12)), None]
    events = {tuple(signatures.event(metre, key)) for metre in [*metres, (5, 4)] for key in keys}
    assert events == {(7 + key, 5 + metre) for key in range(KEYS + 1) for metre in range(4)}
    assert signatures.event((5, 4), None).tolist() == signatures.event((7, 8), None).tolist() == [31, 8]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.integers(-5, 6))
def test_a_missing_key_is_estimated(seed: int, semitones: int) -> None:
    (piece,) = etudes(seed + 1, 3)[-1:]
    tokenizer = NoteTokenizer.train([piece], ALL_NOTES, (-5, 6), signatures=True)
    silent = Piece(piece.name, piece.notes, piece.time_signature)
    assert tokenizer.signatures is not None
    moved = tokenizer.signatures.transposed(tokenizer.signature_events(silent), np.array([semitones]))
    assert np.array_equal(tokenizer.signature_events(transposed(silent, semitones)), moved)
    assert np.array_equal(
        tokenizer.signature_events(transposed(piece, semitones)),
        tokenizer.signatures.transposed(tokenizer.signature_events(piece), np.array([semitones])),
    )


def test_a_piece_without_notes_has_no_key() -> None:
    tokenizer = NoteTokenizer.train(etudes(9, 0), ONE_VOICE, signatures=True)
    assert tokenizer.signature_events(Piece("", ()))[0, 0] == tokenizer.vocab_sizes[0] - 1
    assert tokenizer.signature_events(Piece("", (), key=(2, "minor")))[0, 0] == tokenizer.note_sizes[0] + 14


def test_the_state_restores_the_tokenizer_also_without_signatures(tmp_path: Path) -> None:
    pieces = etudes(9, 0)
    for fields in (ONE_VOICE, ALL_NOTES):
        plain, told = (NoteTokenizer.train(pieces, fields, (-5, 6), signatures=on) for on in (False, True))
        assert set(plain.state()) == {"kind", "fields", "lowest", "highest", "durations", "shifts"}
        torch.save({"tokenizer": told.state()}, tmp_path / "t.ckpt")
        for again in (from_state(told.state()), load_notes(tmp_path / "t.ckpt")):
            assert isinstance(again, NoteTokenizer)
            assert again.fingerprint == told.fingerprint != plain.fingerprint
            assert again.vocab_sizes == told.vocab_sizes
            assert all(np.array_equal(again.signature_events(piece), told.signature_events(piece)) for piece in pieces)
        old = from_state(plain.state())
        assert isinstance(old, NoteTokenizer)
        assert old.signatures is None
        assert old.fingerprint == plain.fingerprint


@pytest.mark.parametrize("metres", [[[3]], [[3, 5]], [["3", 4]], [[0, 4]], ["34"], [3]])
def test_a_damaged_state_is_refused(tmp_path: Path, metres: list) -> None:
    state = NoteTokenizer.train(etudes(3, 0), ONE_VOICE, signatures=True).state()
    torch.save({"tokenizer": state | {"metres": metres}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*metres: .* is no metre"):
        load_notes(tmp_path / "x.ckpt")
    torch.save({"tokenizer": state | {"metres": "3/4"}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"^tokenizer_path .*kind 'notes' is not known"):
        load_notes(tmp_path / "x.ckpt")


def test_metres_are_read() -> None:
    assert [parse_metre(text) for text in ("3/4", " 12/8 ", "2/2")] == [(3, 4), (12, 8), (2, 2)]
    for text in ("waltz", "3", "3/5", "0/4", "3/4/4", "-3/4", "65/4", "3/64", ""):
        with pytest.raises(ValueError, match=r"^metre .* is not a metre; give 1 to 64 beats"):
            parse_metre(text)
