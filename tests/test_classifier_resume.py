"""Classifiers go on exactly where they were broken off: buckets, averaged weights, layers that wait, dropout."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from lightning.pytorch import Trainer
from toy_questions import AVERAGE, FEW, TINY_BERT
from toy_text import SignalAt

from seq_modules.callbacks import RNGState
from seq_modules.callbacks.average_weights import KEY
from seq_modules.callbacks.plots import read_metrics

MODELS = {
    "text": ("--config=questions/gru", "--model.d_model=8", "--model.hidden_size=8", "--model.char_ngrams=[3]",
             "--model.char_buckets=50", "--model.class_weights=balanced", "--model.schedule=cosine"),
    "bert": ("--config=questions/bert", *TINY_BERT, "--model.tuning=gradual", "--model.dropout=0.3"),
}  # fmt: skip
EPOCH = 3


def fit(run: Run, *words: str) -> Path:
    done = run("fit", *words, "--data.cache_dir=cache")
    assert done.code in (0, 143), done.err
    return max(Path("runs").rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns).parents[1]


@pytest.mark.parametrize(("kind", "stop_at"), [("text", 1), ("bert", EPOCH + 1)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    words = (*MODELS[kind], *FEW, "--data.batch_size=32", AVERAGE)
    whole = fit(run, *words)
    with monkeypatch.context() as patch:  # a signal in the middle of training, as Ctrl-C sends one
        start = RNGState.on_train_start

        def with_signal(self: RNGState, trainer: Trainer, pl_module: Any) -> None:
            start(self, trainer, pl_module)
            trainer.callbacks.append(SignalAt(stop_at))

        patch.setattr(RNGState, "on_train_start", with_signal)
        stopped = fit(run, *words)
    first = torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)
    assert first["global_step"] == stop_at + 1
    resumed = fit(run, "--ckpt_path", str(stopped), "--seed_everything=5")
    contents = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (whole, resumed)]
    for entry in ("state_dict", KEY):
        for name, value in contents[0][entry].items():
            assert torch.equal(value, contents[1][entry][name]), (entry, name)
    moments = [content["optimizer_states"][0]["state"] for content in contents]
    assert moments[0].keys() == moments[1].keys()
    for key, state in moments[0].items():
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(moments[1][key][n])) for n, v in state.items())
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/accuracy", "val/loss", "val/macro_f1", "val/calibration_error"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(stop_at + 1, 3 * EPOCH))
