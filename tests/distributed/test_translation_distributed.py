"""Two processes train on the batches of one, resume in the middle, measure and translate each sentence once."""

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_metrics_of, by_two_processes, predictions
from helpers.commands.translation import DATES, SHORT, SMALL_STEPS, TOKENS, TRANSFORMER

from seqlight.core.plots import read_metrics

DDP = "--config=trainer/ddp"
NONE = "--trainer.callbacks=[]"
CACHE = "--data.cache_dir=cache"
SAME = ("--model.net.dropout=0", *SMALL_STEPS, NONE)  # each process would draw its own dropout
LINES = ["Ein Hund läuft.", "", "Zwei Kinder spielen mit einem Ball am Strand.", "Ja."]
MODELS = {"transformer": (*TRANSFORMER, *SAME), "dates": (*DATES, *SAME)}
SCORE = {"transformer": "bleu", "dates": "exact_match"}
ONE = {"transformer": (f"--data.batch_tokens={TOKENS}", "--data.batch_size=4"), "dates": ("--data.batch_size=16",)}
TWO = {"transformer": (f"--data.batch_tokens={TOKENS // 2}", "--data.batch_size=2"), "dates": ("--data.batch_size=8",)}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of the runs of each model: broken off, resumed, tested, used."""
    folder = tmp_path_factory.mktemp("two")
    series = []
    for number, (kind, words) in enumerate(MODELS.items()):
        (folder / str(number)).mkdir()
        (folder / str(number) / "in.txt").write_text("".join(line + "\n" for line in LINES))
        cache = [CACHE] if kind == "transformer" else []
        series.append([
            ["fit", *words, DDP, *TWO[kind], "--trainer.max_steps=5"],
            ["fit", "--ckpt_path=last", SHORT, *cache, "--trainer.max_steps=-1"],
            ["test", "--ckpt_path=last", DDP, SHORT, *cache],
            ["predict", "--ckpt_path=last", DDP, SHORT, "--data.texts_path=in.txt"],
        ])  # fmt: skip
    by_two_processes(folder, *series)
    return {kind: folder / str(number) for number, kind in enumerate(MODELS)}


@pytest.mark.parametrize("kind", list(MODELS))
def test_two_processes_do_what_one_does(run: Run, by_two: dict[str, Path], kind: str) -> None:
    Path("in.txt").write_text("".join(line + "\n" for line in LINES))
    cache = [CACHE] if kind == "transformer" else []
    for words in (
        ["fit", *MODELS[kind], *ONE[kind]],
        ["test", "--ckpt_path=last", SHORT, *cache],
        ["predict", "--ckpt_path=last", SHORT, "--data.texts_path=in.txt"],
    ):
        done = run(*words)
        assert done.code == 0, done.err
    (whole,) = Path("runs/translation").glob("*/*")
    names = ("train/loss", "val/loss", "val/token_accuracy", f"val/{SCORE[kind]}", "val/chrf")
    _, rest = assert_metrics_of(whole, by_two[kind], names, 1e-4)
    one, other = (torch.load(path, weights_only=True) for path in (whole / "checkpoints/last.ckpt", rest))
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][name], value, rtol=0, atol=2e-5)
    tested = [read_metrics(next(folder.rglob("test/*/metrics.csv"))) for folder in (whole, by_two[kind])]
    for name in ("test/loss", f"test/{SCORE[kind]}", "test/chrf"):
        assert tested[1][name][0][1] == pytest.approx(tested[0][name][0][1], abs=1e-4), name

    (predicted,) = by_two[kind].rglob("predictions.jsonl")
    rows = [json.loads(line) for line in predicted.read_text().split("\n") if line]
    assert [row["source"] for row in rows] == LINES
    assert [row["translation"] for row in rows] == [row["translation"] for row in predictions()]
    assert rows[1]["translation"] == ""
    assert len(next(by_two[kind].rglob("out.txt")).read_text().split("\n")) == len(LINES) + 1
