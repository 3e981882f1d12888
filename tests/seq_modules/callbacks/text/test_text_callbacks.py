"""What language models show: samples, text as it grows, attention, tests of English."""

import contextlib
import csv
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.commands.runs import SMALL_GPT, newest
from lightning.pytorch import Trainer

from datamodules.tokenizers.byte import ByteTokenizer
from seq_modules import RNNLanguageModel
from seq_modules.callbacks import EnglishTests, Samples, TextStream
from seq_modules.callbacks.run.text_stream import settled
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.rnn.language_net import RNNConfig
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seqlight.core.plots import read_metrics

SMALL = (*SMALL_GPT, "--model.net.num_layers=2", "--data.windows.eval_size=8")


def callbacks(*classes: str) -> str:
    return f"--trainer.callbacks=[{','.join(classes)}]"


def test_samples_stand_in_the_run_and_do_not_disturb_training(run: Run) -> None:
    sample = '{"class_path":"Samples","init_args":{"prompt":"If ","max_new_tokens":7}}'
    weights = []
    for chosen in (callbacks(sample), callbacks()):
        done = run("fit", *SMALL, chosen)
        assert done.code == 0, done.err
        weights.append(torch.load(newest("last.ckpt"), weights_only=True)["state_dict"])
    (samples,) = Path().rglob("samples.md")
    text = samples.read_text()
    assert text.count("## Step") == 2
    assert "If " in text
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^prompt is empty"):
        Samples(prompt="")


def test_english_tests_attention_and_positions_are_written(run: Run) -> None:
    Path("own.csv").write_text("good,bad\na cat,a caat\nonly one column\n")
    Path("blimp.jsonl").write_text(
        '{"sentence_good": "He sees.", "sentence_bad": "He see.", "UID": "verbs"}\nnot json\n'
    )
    run("fit", *SMALL, "--model.net.positions=learned", callbacks())
    english = '{"class_path":"EnglishTests","init_args":{"per_kind":3,"pairs":"own.csv","blimp":"blimp.jsonl"}}'
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        done = run("test", "--ckpt_path=best", callbacks(english, '{"class_path":"AttentionMaps"}'))
    assert done.code == 0, done.err
    said = " ".join(str(warning.message) for warning in warned)
    assert "own.csv:3" in said
    assert "blimp.jsonl:2" in said
    (table,) = Path().rglob("english.csv")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"spelling_seen", "spelling_unseen", "grammar", "pairs_own", "blimp"} <= {row["suite"] for row in rows}
    assert all(float(row["low"]) - 1e-9 <= float(row["accuracy"]) <= float(row["high"]) + 1e-9 for row in rows)
    names = {path.name for path in table.parent.glob("plots/*.png")}
    assert {"english.png", "attention.png", "positions.png"} <= names
    assert "test/grammar" in done.out


@pytest.mark.parametrize(("arguments", "named"), [({"per_kind": 0}, "per_kind"), ({"context": -1}, "context")])
def test_english_tests_refuse(arguments: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        EnglishTests(**arguments)  # type: ignore[arg-type]


def test_a_file_of_pairs_may_be_called_like_a_metric(run: Run) -> None:
    run("fit", *SMALL, callbacks())
    Path("loss.csv").write_text("If it,Ifi t\n")
    own = '{"class_path":"EnglishTests","init_args":{"spelling":false,"grammar":false,"pairs":"loss.csv"}}'
    losses = []
    for chosen in (callbacks(), callbacks(own)):
        done = run("test", "--ckpt_path=best", chosen)
        assert done.code == 0, done.err
        measured = read_metrics(newest("test/*/metrics.csv"))
        losses.append(measured["test/loss"])
    assert losses[0] == losses[1]
    assert measured["test/pairs_loss"][0][1] in (0, 0.5, 1)


def test_a_missing_file_of_pairs_is_named(run: Run) -> None:
    run("fit", *SMALL, callbacks())
    done = run("test", "--ckpt_path=best", callbacks('{"class_path":"EnglishTests","init_args":{"pairs":"gone.csv"}}'))
    assert done.code == 2
    assert "gone.csv" in done.err


class Plain(Trainer):
    """A trainer with nothing around it."""

    def __init__(self) -> None:
        super().__init__(logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False)


def batch_of(prompts: dict[int, str], stop: list[str] | None = None) -> dict[str, Any]:
    ids = torch.tensor([[ord(letter) for letter in prompt] for prompt in prompts.values()])
    batch = {"input_ids": ids, "lengths": torch.full((len(ids),), ids.shape[1]), "index": torch.tensor(list(prompts))}
    return {**batch, "prompts": list(prompts.values()), **({"stop": stop} if stop else {})}


def test_text_is_shown_as_it_grows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    module = RNNLanguageModel(256, RNNConfig(8, rnn=RecurrentConfig(hidden_size=8)))
    module.tokenizer = ByteTokenizer()
    stream, trainer = TextStream(), Plain()
    stream.setup(trainer, module, "predict")
    assert module.on_text is None  # nobody is looking
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    stream.setup(trainer, module, "test")
    assert module.on_text is None
    stream.setup(trainer, module, "predict")
    module.decoding = Decoding(max_new_tokens=9)
    batch = batch_of({3: "ab", 4: "cd"})
    stream.on_predict_batch_start(trainer, module, batch, 0)
    capsys.readouterr()
    rows = module.predict_step(batch, 0)
    stream.on_predict_batch_end(trainer, module, rows, batch, 0)
    stream.teardown(trainer, module, "predict")
    shown = capsys.readouterr().out
    assert module.on_text is None
    assert stream.rows == {3, 4}
    for row in rows:
        assert f"\n[{row['index']}] {row['prompt']}{row['continuation']}\n" in shown


def test_what_may_begin_a_stop_string_is_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert settled("a b\n", ["\n\n"]) == "a b"
    assert settled("a abab", ["abac", "bb"]) == "a ab"  # of the two the longer
    assert settled("a\N{REPLACEMENT CHARACTER}", []) == "a"
    stream = TextStream()
    stream.on_predict_batch_start(Plain(), None, batch_of({0: "x"}, ["END"]), 0)  # type: ignore[arg-type]
    for text, said in (("aE", "\n[0] xa"), ("aEN", ""), ("aENx", "ENx"), ("aENxE", ""), ("aENx", "")):  # END was cut
        stream.grow(0, text)
        assert capsys.readouterr().out == said
    stream.grow(0, "aENx\N{REPLACEMENT CHARACTER}E")  # ends there: nothing can change any more
    stream.on_predict_batch_end(Plain(), None, None, {}, 0)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "\N{REPLACEMENT CHARACTER}E\n"


def screen(said: str) -> list[str]:
    """What a terminal shows: carriage returns and the cursor's way up write over what stood there."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x1b]", said):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            row = max(0, row - int(part[2:-1] or 1)) if part.endswith("A") else row
        else:
            lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@contextlib.contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytearray]:
    """Makes standard output a terminal of 200 columns, and gives what is written to it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    said = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # the terminal's end
            while block := os.read(ours, 4096):
                said.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(theirs, "w") as stdout:
        patch.setattr(sys, "stdout", stdout)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "200")
        yield said
    reader.join()
    os.close(ours)


@pytest.mark.parametrize("bar", ["tqdm", "rich"])
def test_in_a_terminal_each_text_stands_once_and_whole(run: Run, monkeypatch: pytest.MonkeyPatch, bar: str) -> None:
    run("fit", *SMALL, callbacks())
    chosen = callbacks(*['{"class_path":"lightning.pytorch.callbacks.RichProgressBar"}'] * (bar == "rich"))
    words = ('--data.prompts=["If ", "The "]', "--data.batch_size=1", '--data.stop=["\\n"]', chosen)
    with terminal(monkeypatch) as said:
        done = run("predict", "--ckpt_path=best", *words, "--decoding.max_new_tokens=40")
    assert done.code == 0, done.err
    shown = screen(said.decode())
    (written,) = Path().rglob("predictions.jsonl")
    rows = [json.loads(line) for line in written.read_text().split("\n") if line]
    assert len(rows) == 2
    for row in rows:
        assert shown.count(f"[{row['index']}] {row['prompt']}{row['continuation']}".rstrip()) == 1, shown
    assert not any("continuation" in line or "Predicting" in line for line in shown)
    assert f"2 rows in {written}" in shown
    with terminal(monkeypatch) as said:  # where there is no text to stream, the bar is there
        assert run("test", "--ckpt_path=best", chosen).code == 0
    assert "Testing" in said.decode()
