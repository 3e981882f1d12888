"""Music decoders go on exactly where they were broken off: notes, and frames with what they retrieve."""

import pytest
import torch
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at

from seqlight.core.plots import read_metrics

EPOCH = 4  # steps
AVERAGE = '{"class_path":"EMA","init_args":{"decay":0.9}}'
COMMON = ("--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu")
MODELS = {
    "notes": (
        "--config=music/lstm", "--model.net.d_model=12", "--model.net.rnn.hidden_size=12",
        "--data.source.num_etudes=12",
        "--data.seq_len=24", "--data.batch_size=4", f"--data.windows.epoch_size={4 * EPOCH}",
        "--data.augment.note_values=true",
        "--data.tokens.voices=all", "--model.optim.warmup_steps=2", f"--trainer.callbacks=[{AVERAGE}]",
    ),
    "frames": (  # 60 pieces made up by rule
        "--config=music/jsb_transformer", "--model.net.d_model=12", "--model.net.num_layers=1",
        "--model.net.num_heads=2",
        "--model.frames.d_frame=12", "--model.frames.retrieval_dropout=0.5", "--data.seq_len=12", "--data.retrieved=4",
        f"--data.batch_size={60 // EPOCH}", "--model.optim.warmup_steps=2", f"--trainer.callbacks=[{AVERAGE}]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "stop_at"), [("notes", EPOCH + 1), ("frames", 2)])
def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, stop_at: int) -> None:
    whole = fit(run, *MODELS[kind], *COMMON)
    with signal_at(monkeypatch, stop_at):
        stopped = fit(run, *MODELS[kind], *COMMON)
    assert torch.load(stopped / "checkpoints/last.ckpt", weights_only=True)["global_step"] == stop_at + 1
    resumed = fit(run, "--ckpt_path", str(stopped), "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "val/loss", "val/nats_per_note" if kind == "notes" else "val/nats_per_frame"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(stop_at + 1, 2 * EPOCH))
