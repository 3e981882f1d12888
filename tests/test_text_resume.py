"""Language models go on exactly where they were broken off: real nets, Muon, averaged weights, crops of a corpus."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from lightning.pytorch import Trainer
from toy_text import SignalAt

from seq_modules.callbacks import RNGState
from seq_modules.callbacks.average_weights import KEY
from seq_modules.callbacks.plots import read_metrics

TEXT = "".join(f"{n} of the {thing}s went to the sea.\n" for n in range(40) for thing in ("dog", "cat", "old hat")) * 3
EPOCH = 6  # steps
COMMON = (
    "--data.path=text.txt", "--data.cache_dir=cache", "--data.seq_len=16", "--data.batch_size=4",
    f"--data.epoch_size={4 * EPOCH}", "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu", "--model.warmup_steps=2", "--model.dropout=0.2",
)  # fmt: skip
AVERAGE = '{"class_path":"AverageWeights","init_args":{"decay":0.9,"every_n_steps":2}}'
SHORT = '{"class_path":"ShortWindows","init_args":{"window":8,"share":0.4}}'
MODELS = {
    "gpt": (
        "--config=text/gpt_char", "--model.d_model=16", "--model.num_layers=2", "--model.num_heads=2",
        "--model.optimizer=muon", "--model.schedule=linear", "--model.cooldown=0.5", "--model.ngram_orders=[2]",
        "--model.ngram_buckets=64", "--model.ngram_dim=4", "--model.ngram_dropout=0.3", "--data.crops=tiled",
        f"--trainer.callbacks=[{AVERAGE},{SHORT}]",
    ),
    "ensemble": (
        "--config=text/gpt_char", "--model.d_model=16", "--model.num_layers=1", "--model.num_heads=2",
        "--model.members=2", "--model.optimizer=muon", f"--trainer.callbacks=[{AVERAGE}]",
    ),
    "rnn": (
        "--config=text/lstm_char", "--model.d_model=8", "--model.hidden_size=12", "--model.num_layers=2",
        "--model.schedule=cosine", "--model.final_lr_share=0.1", "--model.beta2=0.95", "--data.crops=random",
        f"--trainer.callbacks=[{AVERAGE}]",
    ),
}  # fmt: skip


def fit(run: Run, *words: str) -> Path:
    done = run("fit", *words)
    assert done.code in (0, 143), done.err
    return max(Path("runs").rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns).parents[1]


@pytest.mark.parametrize(("kind", "stop_at"), [("gpt", 3), ("gpt", 2 * EPOCH - 1), ("ensemble", 2), ("rnn", EPOCH + 1)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    Path("text.txt").write_text(TEXT)
    whole = fit(run, *MODELS[kind], *COMMON)
    with monkeypatch.context() as patch:  # a signal in the middle of training, as Ctrl-C sends one
        start = RNGState.on_train_start

        def with_signal(self: RNGState, trainer: Trainer, pl_module: Any) -> None:
            start(self, trainer, pl_module)
            trainer.callbacks.append(SignalAt(stop_at))

        patch.setattr(RNGState, "on_train_start", with_signal)
        stopped = fit(run, *MODELS[kind], *COMMON)
    first = torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)
    assert first["global_step"] == stop_at + 1
    # The training weights are not those that are validated, and neither are lost.
    assert any(not torch.equal(value, first["state_dict"][name]) for name, value in first[KEY].items())
    resumed = fit(run, "--ckpt_path", str(stopped), "--data.cache_dir=cache", "--seed_everything=5")
    contents = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (whole, resumed)]
    for entry in ("state_dict", KEY):
        for name, value in contents[0][entry].items():
            assert torch.equal(value, contents[1][entry][name]), (entry, name)
    moments = [content["optimizer_states"][0]["state"] for content in contents]
    for key, state in moments[0].items():
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(moments[1][key][n])) for n, v in state.items())
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/bits_per_character", "val/loss", "val/perplexity"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(stop_at + 1, 3 * EPOCH))
