"""REMI tokens from the command line, and what a model of them makes."""

import numpy as np
import pytest
from conftest import Run
from helpers.commands.music import NETS_AND_VOICES, SIZES, SMALL
from helpers.commands.runs import newest, predictions

import seqlight
from datamodules import MidiDataModule
from datamodules.music.sources.midi_files import read_midi
from datamodules.music.sources.prelude import PRELUDE
from seq_modules.generation.decoding_config import Decoding

pytest.importorskip("miditok")

REMI = (*SMALL, "--data.tokens.kind=remi", "--model.notes.relative=false", "--model.notes.retrieved=0")
WRITER = '--trainer.callbacks=[{"class_path":"MusicWriter","init_args":{"audio":"none","score":false}}]'
STATISTICS = '--trainer.callbacks=[{"class_path":"MusicStatistics","init_args":{"num_samples":4,"num_notes":12}}]'


@pytest.mark.parametrize(("kind", "voices"), NETS_AND_VOICES)
def test_fit_test_and_predict(run: Run, kind: str, voices: str) -> None:
    done = run("fit", f"--config=music/{kind}", *SIZES[kind], *REMI, f"--data.tokens.voices={voices}")
    assert done.code == 0, done.err
    done = run("test", "--ckpt_path=best", STATISTICS)
    assert done.code == 0, done.err
    assert all(f"test/{name}" in done.out for name in ("nats_per_note", "token_accuracy", "interval_overlap"))
    words = (
        "--decoding.max_new_tokens=300",
        "--model.generation.stop_at_end=false",
        "--model.generation.max_bars=2",
        "--model.generation.lowest_pitch=50",
    )
    done = run("predict", "--ckpt_path=best", *words, WRITER)
    assert done.code == 0, done.err
    (row,) = predictions()
    assert [note[1] for note in row["prompt_notes"]] == [note.pitch for note in PRELUDE.notes]
    end = PRELUDE.end + 2 * 96
    begin = PRELUDE.end if voices == "top" else PRELUDE.notes[-1].start
    assert all(note[1] >= 50 and note[0] >= begin for note in row["notes"])
    assert all(note[0] + note[2] <= end for note in row["notes"])
    notes = sorted(row["prompt_notes"] + row["notes"])
    assert [list(note[:3]) for note in read_midi(newest("*.mid")).notes] == notes
    module = seqlight.load("best")
    for prompt in (None, module.tokenizer.encode(PRELUDE)):
        cached, naive = (module.double().sample(2, Decoding(40), prompt, cached=cached) for cached in (True, False))
        assert [ids.tolist() for ids in cached] == [ids.tolist() for ids in naive]
    if voices == "top":
        data = MidiDataModule(source={"num_etudes": 3}, tokens={"kind": "remi"})
        assert data.tokenizer.fingerprint != module.tokenizer.fingerprint


def test_nats_per_note_is_the_loss_over_the_notes_of_events(run: Run) -> None:
    run("fit", "--config=music/lstm", *SIZES["lstm"], *REMI, "--data.source.num_etudes=30")
    module = seqlight.load("best").eval()
    found = {}
    for tokens in ("remi", "events"):
        data = MidiDataModule(source={"num_etudes": 30}, tokens={"kind": tokens}, seq_len=32)
        data.setup("test")
        found[tokens] = data.test_set.__getitems__(range(len(data.test_set)))
    step = module.step(found["remi"])
    assert step.metric_inputs["notes"] == (found["events"]["labels"][..., 0] >= 0).sum()
    assert step.num_targets == (found["remi"]["labels"] >= 0).sum() > 2 * step.metric_inputs["notes"]
    metrics = {name: metric.clone() for name, metric in module.test_metrics.items()}
    metrics["test/nats_per_note"].update(step.loss_sum, step.metric_inputs["notes"])
    expected = step.loss_sum.item() / step.metric_inputs["notes"].item()
    assert metrics["test/nats_per_note"].compute().item() == pytest.approx(expected)
    assert np.isclose(module.tokens_per_note, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data.tokens.signatures=true",), "tokens.signatures true needs tokens.kind events"),
        (("--data.tokens.kind=words",), "data"),
    ],
)
def test_mistakes_get_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    done = run("fit", "--config=music/lstm", *SIZES["lstm"], *REMI, *words)
    assert done.code == 2, done.out + done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_tokens_of_another_kind_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("fit", "--config=music/lstm", *SIZES["lstm"], *REMI)
    done = run("predict", "--ckpt_path=best", "--data.tokens.kind=events")
    assert done.code == 2, done.out + done.err
    assert "tokens.kind events does not fit the tokenizer of" in done.err
    monkeypatch.setitem(__import__("sys").modules, "miditok", None)
    done = run("predict", "--ckpt_path=best")
    assert done.code == 2, done.out + done.err
    assert "tokens remi needs miditok; install it with" in done.err
    assert "Traceback" not in done.err


def test_what_is_of_notes_is_refused_in_one_line(run: Run) -> None:
    done = run("fit", "--config=music/lstm", *SMALL, "--data.tokens.kind=remi")
    assert done.code == 2
    assert (
        "notes.relative is for notes, not for tokens; give --model.notes.relative false --model.notes.retrieved 0"
        in done.err
    )
