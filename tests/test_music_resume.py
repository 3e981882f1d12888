"""Music decoders go on exactly where they were broken off: notes, and frames with what they recall."""

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

EPOCH = 4  # steps
AVERAGE = '{"class_path":"AverageWeights","init_args":{"decay":0.9}}'
COMMON = ("--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu")
MODELS = {
    "notes": (
        "--config=music/lstm", "--model.d_model=12", "--model.hidden_size=12", "--data.num_etudes=12",
        "--data.seq_len=24", "--data.batch_size=4", f"--data.epoch_size={4 * EPOCH}", "--data.note_values=true",
        "--data.voices=all", "--model.warmup_steps=2", f"--trainer.callbacks=[{AVERAGE}]",
    ),
    "frames": (  # 60 pieces made up by rule
        "--config=music/jsb_transformer", "--model.d_model=12", "--model.num_layers=1", "--model.num_heads=2",
        "--model.d_frame=12", "--model.recall_dropout=0.5", "--data.seq_len=12", "--data.recalled=4",
        f"--data.batch_size={60 // EPOCH}", "--model.warmup_steps=2", f"--trainer.callbacks=[{AVERAGE}]",
    ),
}  # fmt: skip


def fit(run: Run, *words: str) -> Path:
    done = run("fit", *words)
    assert done.code in (0, 143), done.err
    return max(Path("runs").rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns).parents[1]


@pytest.mark.parametrize(("kind", "stop_at"), [("notes", EPOCH + 1), ("frames", 2)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    whole = fit(run, *MODELS[kind], *COMMON)
    with monkeypatch.context() as patch:  # a signal in the middle of training, as Ctrl-C sends one
        start = RNGState.on_train_start

        def with_signal(self: RNGState, trainer: Trainer, pl_module: Any) -> None:
            start(self, trainer, pl_module)
            trainer.callbacks.append(SignalAt(stop_at))

        patch.setattr(RNGState, "on_train_start", with_signal)
        stopped = fit(run, *MODELS[kind], *COMMON)
    assert torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)["global_step"] == stop_at + 1
    resumed = fit(run, "--ckpt_path", str(stopped), "--seed_everything=5")
    one, other = (torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (whole, resumed))
    for entry in ("state_dict", KEY):
        for name, value in one[entry].items():
            assert torch.equal(value, other[entry][name]), (entry, name)
    moments = [content["optimizer_states"][0]["state"] for content in (one, other)]
    for key, state in moments[0].items():
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(moments[1][key][n])) for n, v in state.items())
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "val/loss", "val/nats_per_note" if kind == "notes" else "val/nats_per_frame"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(stop_at + 1, 2 * EPOCH))
