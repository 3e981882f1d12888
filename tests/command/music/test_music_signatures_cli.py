"""Signatures from the command line: trained with, asked for, and refused in one line."""

import pytest
from conftest import Run
from helpers.commands.music import NETS_AND_VOICES, SIZES, SMALL
from helpers.commands.runs import newest, predictions

import seqlight
from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.midi_files import read_midi, write_midi
from seq_modules.generation.decoding_config import Decoding
from seq_modules.systems.music_generation import MusicGeneration
from seqlight.music.notes import Piece

TOLD = (*SMALL, "--data.source.num_etudes=30", "--data.tokens.signatures=true")
WRITER = '--trainer.callbacks=[{"class_path":"MusicWriter","init_args":{"audio":"none","score":false}}]'


@pytest.mark.parametrize(("kind", "voices"), NETS_AND_VOICES)
def test_a_model_is_told_metre_and_key(run: Run, kind: str, voices: str) -> None:
    done = run("fit", f"--config=music/{kind}", *SIZES[kind], *TOLD, f"--data.tokens.voices={voices}")
    assert done.code == 0, done.err
    done = run("test", "--ckpt_path=best")
    assert done.code == 0, done.err
    assert "test/nats_per_note" in done.out
    asked = (
        "--data.prompt.metre=3/4",
        "--data.prompt.key=c# minor",
        "--data.prompt.source=none",
        "--decoding.max_new_tokens=50",
    )
    done = run("predict", "--ckpt_path=best", *asked, WRITER, "--model.generation.stop_at_end=false")
    assert done.code == 0, done.err
    (row,) = predictions()
    assert (row["time_signature"], row["key"]) == ([3, 4], [1, "minor"])
    written = read_midi(newest("*.mid"))
    assert (written.time_signature, written.key) == ((3, 4), (1, "minor"))
    assert [list(note[:3]) for note in written.notes] == row["notes"]
    module = seqlight.load("best")
    module.generation = MusicGeneration(stop_at_end=False)
    begin = Piece("none", (), (3, 4), key=(1, "minor"))
    (made,) = module.sample_pieces(1, Decoding(max_new_tokens=50), begin)
    assert [list(note[:3]) for note in made.notes] == row["notes"]


def test_a_prompt_has_its_own_or_what_is_asked_for(run: Run) -> None:
    run("fit", "--config=music/lstm", *SIZES["lstm"], *TOLD)
    piece = next(piece for piece in etudes(40, 9) if piece.time_signature == (6, 8))
    write_midi("begin.mid", piece)
    few = ("--ckpt_path=best", "--data.prompt.source=begin.mid", "--data.prompt.bars=2", "--decoding.max_new_tokens=20")
    run("predict", *few)
    (own,) = predictions()
    assert (own["time_signature"], own["key"]) == ([6, 8], list(piece.key))
    run("predict", *few, "--data.prompt.metre=4/4", "--data.prompt.key=B flat minor")
    (asked,) = predictions()
    assert (asked["time_signature"], asked["key"]) == ([4, 4], [10, "minor"])
    assert asked["prompt_notes"] == own["prompt_notes"]


MISTAKES = [
    (
        ("--data.prompt.metre=7/8",),
        "data.prompt.metre 7/8 is not a metre that training had; choose one of 3/4, 4/4, 6/8",
    ),
    (("--data.prompt.metre=waltz",), "data.prompt.metre 'waltz' is not a metre; give 1 to 64 beats"),
    (("--data.prompt.key=H dur",), "data.prompt.key 'H dur' is not a key; give C, C sharp"),
    (("--data.tokens.signatures=false",), "data.tokens.signatures false does not fit the tokenizer of"),
    (
        ("--data.tokens.signatures=false", "--data.prompt.key=C major"),
        "data.prompt.key C major needs a model of signatures",
    ),
]


def test_mistakes_get_one_line(run: Run) -> None:
    run("fit", "--config=music/lstm", *SIZES["lstm"], *TOLD)
    for words, said in MISTAKES:
        done = run("predict", "--ckpt_path=best", *words)
        assert done.code == 2, done.out + done.err
        assert said.removeprefix("data.") in done.err
        assert "Traceback" not in done.err


def test_a_model_without_is_told_so(run: Run) -> None:
    run("fit", "--config=music/lstm", *SIZES["lstm"], *SMALL)
    done = run("predict", "--ckpt_path=best", "--data.prompt.metre=3/4")
    assert done.code == 2, done.out + done.err
    assert "prompt.metre 3/4 needs a model of signatures; train one with --data.tokens.signatures true" in done.err
    done = run("predict", "--ckpt_path=best", "--data.tokens.signatures=true")
    assert done.code == 2, done.out + done.err
    assert "tokens.signatures true does not fit the tokenizer of" in done.err
