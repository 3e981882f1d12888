"""Resumed training of language models equals uninterrupted training: Muon, averaged weights, an ensemble, an LSTM."""

from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at

from seq_modules.callbacks.training.ema import KEY
from seqlight.core.plots import read_metrics

TEXT = "".join(f"{n} of the {thing}s went to the sea.\n" for n in range(40) for thing in ("dog", "cat", "old hat")) * 3
EPOCH = 6  # steps
COMMON = (
    "--data.path=text.txt", "--data.cache_dir=cache", "--data.seq_len=16", "--data.batch_size=4",
    f"--data.windows.epoch_size={4 * EPOCH}", "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu", "--model.optim.warmup_steps=2", "--model.net.dropout=0.2",
)  # fmt: skip
AVERAGE = '{"class_path":"EMA","init_args":{"decay":0.9,"every_n_steps":2}}'
SHORT = '{"class_path":"SequenceLengthWarmup","init_args":{"window":8,"fraction":0.4}}'
MODELS = {
    "gpt": (
        "--config=text/gpt_char", "--model.net.d_model=16", "--model.net.num_layers=2", "--model.net.num_heads=2",
        "--model.optim.optimizer=muon", "--model.optim.schedule=wsd", "--model.optim.decay_fraction=0.5",
        "--model.net.ngrams.orders=[2]", "--model.net.ngrams.buckets=64", "--model.net.ngrams.dim=4",
        "--model.net.ngrams.dropout=0.3", "--data.windows.crops=tiled", f"--trainer.callbacks=[{AVERAGE},{SHORT}]",
    ),
    "ensemble": (
        "--config=text/gpt_char", "--model.net.d_model=16", "--model.net.num_layers=1", "--model.net.num_heads=2",
        "--model.ensemble_size=2", "--model.optim.optimizer=muon", f"--trainer.callbacks=[{AVERAGE}]",
    ),
    "rnn": (
        "--config=text/lstm_char", "--model.net.d_model=8", "--model.net.rnn.hidden_size=12",
        "--model.net.rnn.num_layers=2", "--model.optim.schedule=cosine", "--model.optim.min_lr_ratio=0.1",
        "--model.optim.beta2=0.95", "--data.windows.crops=random", f"--trainer.callbacks=[{AVERAGE}]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "stop_at"), [("gpt", 3), ("gpt", 2 * EPOCH - 1), ("ensemble", 2), ("rnn", EPOCH + 1)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    Path("text.txt").write_text(TEXT)
    whole = fit(run, *MODELS[kind], *COMMON)
    with signal_at(monkeypatch, stop_at):
        stopped = fit(run, *MODELS[kind], *COMMON)
    first = torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)
    assert first["global_step"] == stop_at + 1
    # The training weights are not those that are validated, and neither are lost.
    assert any(not torch.equal(value, first["state_dict"][name]) for name, value in first[KEY].items())
    resumed = fit(run, "--ckpt_path", str(stopped), "--data.cache_dir=cache", "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/bits_per_character", "val/loss", "val/perplexity"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(stop_at + 1, 3 * EPOCH))
