"""Two processes train on the batches of one, resume in the middle, measure and translate each sentence once."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_metrics_of, by_two_processes, predictions
from helpers.commands.translation import SHORT, SMALL_STEPS, TOKENS, TRANSFORMER

from seqlight.core.plots import read_metrics

DDP = "--config=trainer/ddp"
NONE = "--trainer.callbacks=[]"
CACHE = "--data.cache_dir=cache"
SAME = ("--model.net.dropout=0", *SMALL_STEPS, NONE)  # each process would draw its own dropout
LINES = ["Ein Hund läuft.", "", "Zwei Kinder spielen mit einem Ball am Strand.", "Ja."]
WORDS = (*TRANSFORMER, *SAME)
ONE = (f"--data.batch_tokens={TOKENS}", "--data.batch_size=4")
TWO = (f"--data.batch_tokens={TOKENS // 2}", "--data.batch_size=2")


def test_two_processes_do_what_one_does(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    two = tmp_path_factory.mktemp("two")
    for folder in (two, Path()):
        (folder / "in.txt").write_text("".join(line + "\n" for line in LINES))
    by_two_processes(two, [
        ["fit", *WORDS, DDP, *TWO, "--trainer.max_steps=5"],
        ["fit", "--ckpt_path=last", SHORT, CACHE, "--trainer.max_steps=-1"],
        ["test", "--ckpt_path=last", DDP, SHORT, CACHE],
        ["predict", "--ckpt_path=last", DDP, SHORT, "--data.texts_path=in.txt"],
    ])  # fmt: skip
    for words in (
        ["fit", *WORDS, *ONE],
        ["test", "--ckpt_path=last", SHORT, CACHE],
        ["predict", "--ckpt_path=last", SHORT, "--data.texts_path=in.txt"],
    ):
        done = run(*words)
        assert done.code == 0, done.err
    (whole,) = Path("runs/translation").glob("*/*")
    names = ("train/loss", "val/loss", "val/token_accuracy", "val/bleu", "val/chrf")
    _, rest = assert_metrics_of(whole, two, names, 1e-4)
    one, other = (torch.load(path, weights_only=True) for path in (whole / "checkpoints/last.ckpt", rest))
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][name], value, rtol=0, atol=2e-5)
    tested = [read_metrics(next(folder.rglob("test/*/metrics.csv"))) for folder in (whole, two)]
    for name in ("test/loss", "test/bleu", "test/chrf"):
        assert tested[1][name][0][1] == pytest.approx(tested[0][name][0][1], abs=1e-4), name

    (predicted,) = two.rglob("predictions.jsonl")
    rows = [json.loads(line) for line in predicted.read_text().split("\n") if line]
    assert [row["source"] for row in rows] == LINES
    assert [row["translation"] for row in rows] == [row["translation"] for row in predictions()]
    assert rows[1]["translation"] == ""
    assert len(next(two.rglob("out.txt")).read_text().split("\n")) == len(LINES) + 1
