"""Windows with signatures: told in every window, never asked for, in the notes' key; the same labels as without."""

import numpy as np
import pytest
import torch

from datamodules.music.event_windows import MASK_ONE_IN, EvalEvents, TrainEvents
from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import NoteTokenizer
from datamodules.tokenizers.music.midi import ALL_NOTES, ONE_VOICE
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Note, Piece

PIECES = etudes(8, 2)


def tokenizers(fields: tuple[str, ...]) -> tuple[NoteTokenizer, NoteTokenizer]:
    """Without signatures, and with."""
    plain, told = (NoteTokenizer.train(PIECES, fields, (-5, 6), signatures=on) for on in (False, True))
    return plain, told


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
@pytest.mark.parametrize(("seq_len", "stride"), [(7, None), (32, 30), (2, 1), (500, None)])
def test_evaluation_tells_each_window_and_counts_the_same_labels(
    fields: tuple[str, ...], seq_len: int, stride: int | None
) -> None:
    plain, told = tokenizers(fields)
    windows, without = EvalEvents(PIECES, told, seq_len, stride), EvalEvents(PIECES, plain, seq_len - 1, stride)
    batch, expected = windows.__getitems__(range(len(windows))), without.__getitems__(range(len(without)))
    longest = min(seq_len, 1 + int(windows.counts.max()))
    assert batch["input_ids"].shape == (len(windows), longest, len(fields))
    assert torch.equal(batch["input_ids"][:, 1:], expected["input_ids"])
    assert torch.equal(batch["labels"][:, 1:], expected["labels"])
    assert (batch["labels"][:, 0] == IGNORED).all()
    prefixes = torch.from_numpy(np.concatenate([told.signature_events(PIECES[number]) for number in windows.pieces]))
    assert torch.equal(batch["input_ids"][:, 0], prefixes)


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_training_tells_the_key_that_the_notes_are_moved_to(fields: tuple[str, ...]) -> None:
    _, told = tokenizers(fields)
    moved = {}  # by the events of a window: the signature of its piece in its key
    for piece in PIECES:
        ids = told.encode(piece)
        pitch = (np.arange(len(fields)) == fields.index("pitch")) & (ids >= told.pitches.index(told.lowest))
        for semitones in range(-5, 7):
            key = ((piece.key[0] + semitones) % 12, piece.key[1])
            event = told.signatures.event(piece.time_signature, key)
            events = ids + semitones * pitch
            moved |= {events[at : at + 22].tobytes(): event for at in range(len(events) - 21)}
    batch = TrainEvents(PIECES, told, 24, None, 0, (-5, 6)).__getitems__(range(2000))
    assert torch.equal(batch["input_ids"][:, 2:], batch["labels"][:, 1:-1])
    assert (batch["labels"][:, 0] == IGNORED).all()
    assert (batch["labels"][:, 1:, 0] != IGNORED).all()
    inputs = batch["input_ids"].numpy()
    right = np.array([row[0] == moved[row[2:].tobytes()] for row in inputs if row[2:].tobytes() in moved])
    untold = inputs[:, 0] == np.array(told.vocab_sizes) - 1
    assert len(right) > 1900
    assert 1 - right[:, -2].mean() == pytest.approx(1 / MASK_ONE_IN, abs=0.03)
    assert 1 - right[:, -1].mean() == pytest.approx(1 / MASK_ONE_IN, abs=0.03)
    assert np.array_equal(~right[:, -2], untold[[row[2:].tobytes() in moved for row in inputs], -2])
    both = untold[:, -2] & untold[:, -1]
    assert both.mean() == pytest.approx(1 / MASK_ONE_IN**2, abs=0.01)  # one is not masked because the other is
    if fields == ALL_NOTES:
        assert (inputs[:, 0, 0] == told.note_sizes[0]).all()


def test_a_row_follows_from_its_number_and_the_seed() -> None:
    _, told = tokenizers(ALL_NOTES)
    windows = TrainEvents(PIECES, told, 24, None, 3, (-5, 6))
    whole = windows.__getitems__(range(100, 140))
    for number in (139, 100, 117):
        assert all(torch.equal(windows[number][name], value[number - 100]) for name, value in whole.items())


def test_without_signatures_windows_are_as_before() -> None:
    plain, told = tokenizers(ONE_VOICE)
    rows = [
        TrainEvents(PIECES, kind, length, 9, 5).__getitems__(range(50)) for kind, length in ((plain, 24), (told, 25))
    ]
    assert torch.equal(rows[0]["input_ids"], rows[1]["input_ids"][:, 1:])
    assert torch.equal(rows[0]["labels"], rows[1]["labels"][:, 1:])


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_each_window_tells_the_metre_at_its_start(fields: tuple[str, ...]) -> None:
    notes = tuple(Note(24 * at, 60 + at % 5, 24) for at in range(20))
    piece = Piece("changes", notes, (3, 4), metres=((144, (2, 4)), (240, (6, 8))))
    tokenizer = NoteTokenizer.train([piece], fields, signatures=True)
    windows = EvalEvents([piece], tokenizer, 6, 3)
    batch = windows.__getitems__(range(len(windows)))
    known = tokenizer.signatures
    # A window from s reads the notes from s - 1 on; START has the metre of the beginning.
    first = [24 * max(3 * number - 1, 0) for number in range(len(windows))]
    expected = [known.metre_id((3, 4) if at < 144 else (2, 4) if at < 240 else (6, 8)) for at in first]
    assert batch["input_ids"][:, 0, known.metre_column].tolist() == expected
    assert len(set(expected)) == 3
