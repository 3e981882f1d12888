"""Models with signatures: they follow metre and key, never write them, and keep them in every window."""

from dataclasses import replace

import pytest
import torch

from datamodules.music.event_windows import EvalEvents
from datamodules.music.sources.etudes import etudes
from datamodules.tokenizers import NoteTokenizer
from datamodules.tokenizers.music.midi import ALL_NOTES, ONE_VOICE
from seq_modules import MusicDecoder, RNNMusicDecoder, TransformerMusicDecoder
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.music.event_heads import NoteConfig
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.systems.music_generation import MusicGeneration
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
        "notes": NoteConfig(relative=True, retrieved=3),
    }
    if kind == "lstm":
        rnn = RNNConfig(d_model=16, rnn=RecurrentConfig(hidden_size=24, num_layers=2))
        module = RNNMusicDecoder(tokenizer.vocab_sizes, net=rnn, **parts)
    else:
        shape = GPTConfig(16, num_layers=2, num_heads=2, max_seq_len=16, positions="rotary", tie_weights=False)
        module = TransformerMusicDecoder(tokenizer.vocab_sizes, net=shape, **parts)
    module.tokenizer = tokenizer
    return module


@pytest.mark.parametrize(("kind", "fields"), [("lstm", ONE_VOICE), ("transformer", ALL_NOTES)])
def test_the_signature_decides_the_tune(kind: str, fields: tuple[str, ...]) -> None:
    module = make(kind, TUNES, fields)
    batch = EvalEvents(TUNES, module.tokenizer, 16).__getitems__(range(3))
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        module.step(batch).loss_sum.backward()
        optimizer.step()
    step = module.step(batch)
    assert step.loss_sum < 1
    assert step.num_targets == sum(len(module.tokenizer.encode(piece)) + 1 for piece in TUNES)  # notes and END alone
    greedy = Decoding(max_new_tokens=10, temperature=0)
    for tune in TUNES:
        (made,) = module.sample_pieces(1, greedy, replace(tune, notes=()))
        assert (made.notes, made.time_signature, made.key) == (tune.notes, tune.time_signature, tune.key)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("fields", [ONE_VOICE, ALL_NOTES])
def test_it_is_never_made_and_stays_in_view(kind: str, fields: tuple[str, ...]) -> None:
    pieces = etudes(4, 4)
    module = make(kind, pieces, fields).double()
    tokenizer, module.generation = module.tokenizer, MusicGeneration(stop_at_end=False)
    with torch.no_grad():
        for head, size in zip(module.net.each[0].head.field_heads, tokenizer.note_sizes, strict=True):
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
    net, row = module.net.each[0].backbone, list(range(100, 140))
    assert net.window(row) == [100, *row[1 + 24 :]]
    assert net.window(row[:16]) == row[:16]
    assert net.window(row[:17]) == [100, *row[1 + 8 : 17]]
