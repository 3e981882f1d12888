"""Windows of events: every note once to evaluate, rows that follow from number and seed, transposition, note values."""

from typing import Any

import numpy as np
import pytest
import torch

from datamodules.music.event_windows import EvalEvents, TrainEvents, versions_of
from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import NoteTokenizer
from datamodules.tokenizers.music.midi import ALL_NOTES, ONE_VOICE
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Note, Piece, top_voice

PIECES = etudes(8, 2)
SHORT = Piece("short", (Note(0, 60, 12), Note(24, 62, 24)))  # with a rest in one voice


def tokenizer(fields: tuple[str, ...] = ONE_VOICE, transpose: tuple[int, int] = (-5, 6)) -> NoteTokenizer:
    versions = [version for piece in [*PIECES, SHORT] for version in versions_of(piece, True)]
    return NoteTokenizer.train(versions, fields, transpose)


def with_ends(piece: Piece, notes: NoteTokenizer) -> torch.Tensor:
    """START, the events, END."""
    ends = torch.zeros(2, 1, len(notes.fields), dtype=torch.long)
    ends[:, 0, 0] = torch.tensor([notes.start_id, notes.end_id])
    return torch.cat([ends[0], torch.from_numpy(notes.encode(piece)), ends[1]])


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
@pytest.mark.parametrize(("seq_len", "stride"), [(7, None), (32, 32), (32, 5), (1, None), (500, None)])
def test_evaluation_asks_for_every_event_once_in_order(
    fields: tuple[str, ...], seq_len: int, stride: int | None
) -> None:
    notes = tokenizer(fields)
    windows = EvalEvents([SHORT, *PIECES], notes, seq_len, stride)
    batch = windows.__getitems__(range(len(windows)))
    sequences = [with_ends(piece, notes) for piece in [SHORT, *PIECES]]
    labels = batch["labels"][batch["labels"][..., 0] != IGNORED]
    expected = torch.cat([sequence[1:] for sequence in sequences])
    beside_end = expected[:, 0] == notes.end_id
    expected[beside_end, 1:] = IGNORED
    assert torch.equal(labels, expected)
    # What is read before a label is what was asked for before it, from a piece's START on.
    counted = [(row, place) for row, place in (batch["labels"][..., 0] != IGNORED).nonzero().tolist()]
    before = torch.stack([batch["input_ids"][row, place] for row, place in counted])
    assert torch.equal(before, torch.cat([sequence[:-1] for sequence in sequences]))
    context = seq_len - (stride or max(1, seq_len // 2))
    for row in range(len(windows)):
        first = int((batch["labels"][row, :, 0] != IGNORED).nonzero()[0])
        assert first == (0 if batch["input_ids"][row, 0, 0] == notes.start_id else context)


def test_past_the_end_nothing_is_read_or_asked_for() -> None:
    notes = tokenizer()
    windows = EvalEvents([SHORT, *PIECES], notes, 6)
    assert windows[0]["input_ids"].tolist() == with_ends(SHORT, notes)[:-1].tolist()  # by itself it has no padding
    row = {name: value[0] for name, value in windows.__getitems__([0, 1]).items()}
    assert row["input_ids"].tolist() == [*with_ends(SHORT, notes)[:-1].tolist(), [0, 0], [0, 0]]
    assert row["labels"].tolist()[-3:] == [[notes.end_id, IGNORED], [IGNORED, IGNORED], [IGNORED, IGNORED]]


def rows(windows: TrainEvents, numbers: range) -> dict[str, torch.Tensor]:
    return windows.__getitems__(numbers)


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_a_row_follows_from_its_number_and_the_seed(fields: tuple[str, ...]) -> None:
    notes = tokenizer(fields)

    def windows(seed: int) -> TrainEvents:
        return TrainEvents(PIECES, notes, 24, None, seed, (-5, 6), True)

    whole = rows(windows(3), range(1000, 1064))
    for number in (1063, 1000, 1031):
        alone = windows(3)[number]
        assert all(torch.equal(alone[name], value[number - 1000]) for name, value in whole.items())
    assert not torch.equal(rows(windows(4), range(1000, 1064))["labels"], whole["labels"])
    assert whole["index"].tolist() == list(range(1000, 1064))


@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_training_windows_are_cut_from_one_transposed_piece(fields: tuple[str, ...]) -> None:
    notes, length = tokenizer(fields), 25  # events of a window: one more than its labels
    places: dict[bytes, int] = {}  # by every such run of events of every piece in every key: semitones
    for piece in PIECES:
        sequence = with_ends(piece, notes).numpy()
        is_pitch = (np.arange(len(fields)) == fields.index("pitch")) & (sequence >= notes.pitches.index(notes.lowest))
        for semitones in range(-5, 7):
            moved = sequence + semitones * is_pitch
            places |= {moved[at : at + length].tobytes(): semitones for at in range(len(moved) - length + 1)}
    batch = rows(TrainEvents(PIECES, notes, length - 1, None, 0, (-5, 6)), range(200))
    assert all(len(notes.encode(piece)) > length for piece in PIECES)
    events = torch.cat([batch["input_ids"][:, :1], batch["labels"].clamp(min=0)], dim=1).numpy()
    assert torch.equal(batch["input_ids"][:, 1:], batch["labels"][:, :-1])
    assert {places[row.tobytes()] for row in events} == set(range(-5, 7))


def test_no_transposition_leaves_the_vocabulary() -> None:
    edge = Piece("edge", (Note(0, 2, 24), Note(24, 126, 24)))
    notes = NoteTokenizer.train([edge], ONE_VOICE, (-5, 6))
    assert (notes.lowest, notes.highest) == (0, 127)
    labels = rows(TrainEvents([edge], notes, 4, None, 0, (-5, 6)), range(300))["labels"]
    pitches = {tuple(row) for row in labels[:, :2, 0].tolist()}
    low = notes.pitches.index(0)
    assert pitches == {(low + pitch, low + pitch + 124) for pitch in (0, 1, 2, 3)}


def test_all_labels_are_asked_for_about_equally() -> None:
    # One long and one short piece whose events can be told apart: counts of each label over many windows.
    long = Piece("long", tuple(Note(24 * n, 20 + n, 24) for n in range(60)))
    short = Piece("short", tuple(Note(24 * n, 100 + n, 24) for n in range(5)))
    notes = NoteTokenizer.train([long, short], ONE_VOICE)
    labels = rows(TrainEvents([long, short], notes, 16, None, 1), range(20_000))["labels"][..., 0]
    counts = torch.bincount(labels[labels >= 0].flatten(), minlength=notes.vocab_sizes[0]).double()
    first = notes.pitches.index(20)
    asked = counts[first : first + 60]
    assert asked.min() > 0.4 * asked.mean()  # at an edge half as often as in the middle
    assert asked[:16].mean() == pytest.approx(float(asked[16:44].mean()), rel=0.1)
    assert asked[44:].mean() == pytest.approx(float(asked[16:44].mean()), rel=0.1)


def test_note_values_double_and_halve_where_they_stay_whole() -> None:
    odd = Piece("odd", (Note(0, 60, 3), Note(3, 62, 24)))
    even = Piece("even", (Note(0, 60, 24), Note(24, 62, 12)))
    assert [version.notes[0].duration for version in versions_of(odd, True)] == [3, 6]
    assert [version.notes[0].duration for version in versions_of(even, True)] == [24, 48, 12]
    assert versions_of(even, False) == [even]
    notes = NoteTokenizer.train([v for piece in (odd, even) for v in versions_of(piece, True)], ONE_VOICE)
    labels = rows(TrainEvents([odd, even], notes, 4, None, 0, note_values=True), range(300))["labels"]
    heard = {tuple(notes.durations[i] for i in row) for row in labels[:, :2, 1].tolist()}
    assert heard == {(3, 24), (6, 48), (24, 12), (48, 24), (12, 6)}


def test_an_epoch_covers_the_pieces_unless_a_size_is_given() -> None:
    notes, lengths = tokenizer(), [len(tokenizer().encode(piece)) + 1 for piece in PIECES]
    arguments: tuple[Any, ...] = (PIECES, notes, 24)
    assert len(TrainEvents(*arguments, None, 0)) == sum(-(-length // 24) for length in lengths)
    assert len(TrainEvents(*arguments, None, 0, note_values=True)) == sum(-(-length // 24) for length in lengths)
    assert len(TrainEvents(*arguments, 7, 0)) == 7


def test_one_voice_is_the_top_voice() -> None:
    notes = tokenizer()
    assert all(np.array_equal(notes.encode(piece), notes.encode(top_voice(piece))) for piece in PIECES)
