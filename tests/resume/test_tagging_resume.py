"""A tagger goes on exactly where it was broken off, in the middle of an epoch: batches by length, dropout, a CRF."""

from pathlib import Path

import pytest
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at
from helpers.commands.tagging import FIT, write_files
from helpers.toy_questions import AVERAGE

from seqlight.core.plots import read_metrics


def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(Path())
    words = (*FIT[:-1], AVERAGE, "--data.batch_size=8", "--model.net.embedding.word_dropout=0.2")
    whole = fit(run, *words)
    with signal_at(monkeypatch, 6):
        stopped = fit(run, *words)
    resumed = fit(run, "--ckpt_path", str(stopped), "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/accuracy", "train/span_f1", "val/loss", "val/span_f1"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert rest["train/loss"][0][0] == 7
