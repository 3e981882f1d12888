"""Classifiers go on exactly where they were broken off: buckets, averaged weights, layers that wait, dropout."""

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at
from helpers.toy_questions import AVERAGE, FEW, TINY_BERT

from seqlight.core.plots import read_metrics

MODELS = {
    "text": ("--config=questions/gru", "--model.net.d_model=8", "--model.net.rnn.hidden_size=8",
             "--model.net.embedding.char_orders=[3]", "--model.net.embedding.char_buckets=50",
             "--model.loss.class_weights=balanced", "--model.optim.schedule=cosine"),
    "bert": ("--config=questions/bert", *TINY_BERT, "--model.net.tuning=gradual", "--model.net.dropout=0.3"),
}  # fmt: skip
EPOCH = 3


@pytest.mark.parametrize(("kind", "stop_at"), [("text", 1), ("bert", EPOCH + 1)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    cache = "--data.cache_dir=cache"
    words = (*MODELS[kind], *FEW, "--data.batch_size=32", AVERAGE, cache)
    whole = fit(run, *words)
    with signal_at(monkeypatch, stop_at):
        stopped = fit(run, *words)
    first = torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)
    assert first["global_step"] == stop_at + 1
    resumed = fit(run, "--ckpt_path", str(stopped), cache, "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/accuracy", "val/loss", "val/macro_f1", "val/calibration_error"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(stop_at + 1, 3 * EPOCH))
