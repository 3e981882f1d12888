"""Models that are told metre and key: they heed them, never write them, and keep them in view."""

from dataclasses import replace

import pytest
import torch

from datamodules.music.event_windows import EvalEvents
from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import NoteTokenizer
from datamodules.tokenizers.midi import ALL_NOTES, ONE_VOICE
from seq_modules import MusicDecoder, RNNMusicDecoder, TransformerMusicDecoder
from seq_modules.generation.sampling import Decoding
from seqlight.music.notes import Note, Piece

# Which of them is to come, the signature alone says.
TUNES = [
    Piece(f"{metre} {key}", tuple(Note(12 * n, 60 + step * n, 12) for n in range(6)), metre, key=key)
    for step, metre, key in ((2, (3, 4), (0, "major")), (-1, (3, 4), (0, "minor")), (3, (6, 8), (0, "major")))
]


def make(kind: str, pieces: list[Piece], fields: tuple[str, ...]) -> MusicDecoder:
    torch.manual_seed(0)
    tokenizer = NoteTokenizer.train(pieces, fields, signatures=True)
    module: MusicDecoder
    pitches = tokenizer.pitches
    parts = {
        "pitch_ids": [pitches.index(tokenizer.lowest), pitches.index(tokenizer.highest)],
        "ticks": tokenizer.durations if fields == ONE_VOICE else tokenizer.shifts,
        "relative": True,
        "recalled": 3,
        "dropout": 0.0,
    }
    if kind == "lstm":
        module = RNNMusicDecoder(tokenizer.vocab_sizes, d_model=16, hidden_size=24, **parts)
    else:
        module = TransformerMusicDecoder(
            tokenizer.vocab_sizes, d_model=16, num_layers=2, num_heads=2, max_seq_len=16, **parts
        )
    module.tokenizer = tokenizer
    return module


@pytest.mark.parametrize(("kind", "fields"), [("lstm", ONE_VOICE), ("transformer", ALL_NOTES)])
def test_what_is_asked_for_is_played(kind: str, fields: tuple[str, ...]) -> None:
    module = make(kind, TUNES, fields)
    batch = EvalEvents(TUNES, module.tokenizer, 16).__getitems__(range(3))
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        module.step(batch).loss_sum.backward()
        optimizer.step()
    step = module.step(batch)
    assert step.loss_sum < 1
    assert step.items == sum(len(module.tokenizer.encode(piece)) + 1 for piece in TUNES)  # notes and END alone
    greedy = Decoding(max_new_tokens=10, temperature=0)
    for tune in TUNES:
        (made,) = module.sample_pieces(1, greedy, replace(tune, notes=()))
        assert (made.notes, made.time_signature, made.key) == (tune.notes, tune.time_signature, tune.key)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_it_is_never_made_and_stays_in_view(kind: str, fields: tuple[str, ...]) -> None:
    pieces = etudes(4, 4)
    module = make(kind, pieces, fields).double()
    tokenizer, module.stop_at_end = module.tokenizer, False
    with torch.no_grad():
        for head, size in zip(module.heads.members[0].outputs, tokenizer.note_sizes, strict=True):
            head.bias[size:] = 30.0  # signatures are what it would like to write
    decoding = Decoding(max_new_tokens=60, seed=2)
    for prompt in (tokenizer.encode(pieces[0])[:30], None):
        cached, naive = (module.sample(2, decoding, prompt, cached=cached) for cached in (True, False))
        assert [row.tolist() for row in cached] == [row.tolist() for row in naive]
        assert all((row < tokenizer.note_sizes).all() for row in cached)
        assert [len(row) for row in cached] == [60, 60]


def test_a_window_that_moves_on_keeps_its_beginning() -> None:
    module = make("transformer", etudes(4, 4), ONE_VOICE)
    module.sample(1, Decoding(max_new_tokens=1))
    (net,), row = module.net.members, list(range(100, 140))
    assert net.window(row) == [100, *row[1 + 24 :]]
    assert net.window(row[:16]) == row[:16]
    assert net.window(row[:17]) == [100, *row[1 + 8 : 17]]
