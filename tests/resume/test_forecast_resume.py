"""A forecaster goes on exactly where it was broken off, in the middle of an epoch."""

import pytest
from conftest import Run
from helpers.commands.runs import assert_same_training, fit, signal_at

from seqlight.core.plots import read_metrics

EPOCH = 5  # steps
AVERAGE = '--trainer.callbacks=[{"class_path":"EMA","init_args":{"decay":0.9}}]'
WORDS = (
    "--config=forecast/patch_transformer", "--data.generated.num_rows=190", "--data.lookback=48", "--data.horizon=6",
    "--data.batch_size=16", "--data.split.rows=[130,30,30]", "--model.net.patches.d_model=8",
    "--model.net.transformer.num_layers=1", "--model.net.transformer.num_heads=2", "--model.net.instance_norm=affine",
    "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu", AVERAGE,
)  # fmt: skip


def test_resumed_equals_uninterrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(run, *WORDS)
    with signal_at(monkeypatch, EPOCH + 1):
        stopped = fit(run, *WORDS)
    resumed = fit(run, "--ckpt_path", str(stopped), "--seed_everything=5")
    assert_same_training(whole, resumed)
    expected, rest = (read_metrics(folder / "metrics.csv") for folder in (whole, resumed))
    for name in ("train/loss", "train/mase", "val/loss", "val/mse", "val/smape", "val/coverage_80"):
        assert rest[name] == expected[name][-len(rest[name]) :], name
    assert [step for step, _ in rest["train/loss"]] == list(range(EPOCH + 2, 2 * EPOCH))
