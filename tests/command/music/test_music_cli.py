"""A music decoder from the command line: MIDI in, MIDI out, and what a checkpoint alone can do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Run
from helpers.commands.music import NETS_AND_VOICES, SIZES, SMALL
from helpers.commands.runs import newest, predictions

import seqlight
from datamodules.music.sources.etudes import etudes
from datamodules.music.sources.midi_files import read_midi, write_midi
from datamodules.music.sources.prelude import PRELUDE
from seq_modules.generation.decoding_config import Decoding
from seq_modules.systems.music_generation import MusicGeneration
from seqlight.music.notes import Note, Piece


def folder_of_music(folder: str) -> Path:
    """Chords and single notes, as a user's folder may hold them."""
    for piece in etudes(8, seed=1):
        write_midi(Path(folder, f"{piece.name}.mid"), piece)
    return Path(folder)


@pytest.mark.parametrize(("kind", "voices"), NETS_AND_VOICES)
def test_a_checkpoint_alone_composes(run: Run, kind: str, voices: str) -> None:
    folder = folder_of_music("midi")
    source = (
        f"--data.path={folder}",
        f"--data.tokens.voices={voices}",
        "--data.split.held_out=etude 1 *",
    )
    done = run("fit", f"--config=music/{kind}", *SIZES[kind], *SMALL, *source)
    assert done.code == 0, done.err
    done = run("test", "--ckpt_path=best")
    assert done.code == 0, done.err
    assert all(f"test/{name}" in done.out for name in ("loss", "pitch_accuracy", "duration_accuracy", "perplexity"))
    folder.rename("gone")  # the checkpoint knows the tokens; it needs no music
    few = ("--decoding.max_new_tokens=20", "--data.prompt.samples=2", "--model.generation.stop_at_end=false")
    done = run("predict", "--ckpt_path=best", *few, "--data.batch_size=1")
    assert done.code == 0, done.err
    rows = predictions()
    assert [row["index"] for row in rows] == [0, 1]
    assert [note[1] for note in rows[0]["prompt_notes"]] == [note.pitch for note in PRELUDE.notes]
    assert rows[0]["notes"] != rows[1]["notes"]
    module = seqlight.load("best")
    module.generation = MusicGeneration(stop_at_end=False)
    first, _ = module.sample_pieces(2, Decoding(max_new_tokens=20), PRELUDE)
    assert [list(note[:3]) for note in first.notes] == rows[0]["prompt_notes"] + rows[0]["notes"]
    run("predict", "--ckpt_path=best", *few)  # seeded, and the same in one batch
    assert predictions() == rows
    greedy = run("predict", "--ckpt_path=best", *few, "--decoding.temperature=0", "--data.prompt.source=none")
    assert greedy.code == 0, greedy.err
    expected, _ = module.sample_pieces(2, Decoding(max_new_tokens=20, temperature=0))
    assert predictions()[0]["notes"] == [list(note[:3]) for note in expected.notes]
    assert predictions()[0]["prompt_notes"] == []


def test_flags_of_a_prediction_are_heard_and_not_kept(run: Run) -> None:
    run(
        "fit",
        "--config=music/lstm",
        *SIZES["lstm"],
        *SMALL,
        "--model.generation.lowest_pitch=60",
        "--data.source.num_etudes=60",
    )
    held = seqlight.load("best")
    assert held.generation.lowest_pitch is None
    write_midi("begin.mid", PRELUDE)
    words = (
        "--model.generation.max_bars=2",
        "--model.generation.lowest_pitch=50",
        "--model.generation.highest_pitch=52",
        "--model.generation.stop_at_end=false",
    )
    done = run("predict", "--ckpt_path=best", *words, "--data.prompt.source=begin.mid", "--data.prompt.bars=1")
    assert done.code == 0, done.err
    (row,) = predictions()
    assert row["prompt"] == "begin"
    assert row["prompt_notes"] == [list(note[:3]) for note in PRELUDE.notes[:16]]
    assert {note[1] for note in row["notes"]} <= {50, 51, 52}
    assert max(start + duration for start, _, duration in row["notes"]) == 3 * 96


def test_what_is_written_reads_back_equal(run: Run) -> None:
    run("fit", "--config=music/transformer", *SIZES["transformer"], *SMALL, "--data.tokens.voices=all")
    writer = '--trainer.callbacks=[{"class_path":"MusicWriter","init_args":{"audio":"none","score":false}}]'
    done = run(
        "predict", "--ckpt_path=best", writer, "--decoding.max_new_tokens=60", "--model.generation.stop_at_end=false"
    )
    assert done.code == 0, done.err
    (row,) = predictions()
    notes = sorted(row["prompt_notes"] + row["notes"])
    assert len(notes) == len(PRELUDE.notes) + 60
    assert [list(note[:3]) for note in read_midi(newest("*.mid")).notes] == notes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model.generation.max_bars=0",), "generation.max_bars"),
        (("--model.generation.lowest_pitch=200",), "generation.lowest_pitch"),
        (("--model.notes.heads=both",), "model"),
        (("--data.path=nowhere",), "nowhere"),
        (("--data.seq_len=96",), "max_seq_len"),
    ],
)
def test_mistakes_get_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run("fit", "--config=music/transformer", *SIZES["transformer"], *SMALL, *words)
    assert done.code == 2, done.out + done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_range_without_pitches_is_named(run: Run) -> None:
    run("fit", "--config=music/lstm", *SIZES["lstm"], *SMALL)
    pitches = [pitch for pitch in seqlight.load("best").tokenizer.pitches if pitch is not None]
    done = run("predict", "--ckpt_path=best", f"--model.generation.lowest_pitch={np.max(pitches) + 1}")
    assert done.code == 2, done.err
    assert "lowest_pitch" in done.err


def test_loudness_metres_and_tempos_of_files_are_read_and_written(run: Run) -> None:
    for number, piece in enumerate(etudes(12, 0)):
        notes = tuple(note._replace(velocity=40 + 20 * (note.pitch % 3)) for note in piece.notes)
        write_midi(f"music/{number}.mid", replace(piece, notes=notes))
    begin = Piece(
        "begin", tuple(Note(24 * at, 60 + at % 5, 24, 60) for at in range(8)), (3, 4), 90.0,
        metres=((72, (2, 4)),), tempos=((72, 60.0),),
    )  # fmt: skip
    write_midi("begin.mid", begin)
    words = ("--data.path=music", "--data.tokens.velocity=true", "--data.tokens.voices=all")
    assert run("fit", "--config=music/lstm", *SIZES["lstm"], *SMALL, *words).code == 0
    done = run("test", "--ckpt_path=best")
    assert "test/velocity_accuracy" in done.out
    writer = '--trainer.callbacks=[{"class_path":"MusicWriter","init_args":{"audio":"synth","score":false}}]'
    asked = ("--data.prompt.source=begin.mid", "--model.generation.max_bars=2", "--model.generation.stop_at_end=false")
    for more, tempos in ((), ()), (("--data.prompt.tempo_changes=true",), begin.tempos):
        done = run("predict", "--ckpt_path=best", writer, *asked, *more)
        assert done.code == 0, done.err
        (row,) = predictions()
        written = read_midi(newest("*.mid"), velocity=True, tempos=True)
        assert sorted(row["prompt_notes"] + row["notes"]) == [list(note) for note in written.notes]
        assert {note[3] for note in row["notes"]} <= {40, 60, 80}
        assert (written.metres, written.tempos) == (begin.metres, tempos)
        assert row["metres"] == [[72, [2, 4]]]
        # The prompt ends in the third bar of 2/4, and two bars of it follow.
        assert written.end <= 72 + 5 * 48
    done = run("predict", "--ckpt_path=best", "--data.tokens.velocity=false")
    assert done.code == 2
    assert "tokens.velocity false does not fit" in done.err
    done = run("fit", "--config=music/lstm", "--data.tokens.kind=remi", "--data.tokens.velocity=true")
    assert done.code == 2
    assert "tokens.velocity true needs" in done.err
