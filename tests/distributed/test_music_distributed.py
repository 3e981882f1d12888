"""Two processes train music decoders as one does with the global batch, and predict each row once."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.commands.runs import by_two_processes

from seqlight.core.plots import read_metrics

COMMON = (
    "--model.optim.schedule=constant", "--model.optim.warmup_steps=2", "--model.net.dropout=0",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1", "--trainer.callbacks=[]", "--trainer.accelerator=cpu",
)  # fmt: skip
# Settings, rows of a global batch, and what predict is asked for.
MODELS = {
    "music/lstm": (
        ("--model.net.d_model=16", "--model.net.rnn.hidden_size=16", "--model.ensemble_size=1",
         "--model.net.rnn.dropout=0", "--data.source.num_etudes=12",
         "--data.seq_len=24", "--data.windows.eval_seq_len=24", "--data.windows.epoch_size=20",
         "--data.tokens.voices=all"),
        8, ("--data.prompt.samples=3", "--data.batch_size=1", "--model.generation.stop_at_end=false"),
    ),
    "music/jsb_lstm": (
        ("--model.net.hidden_size=16", "--model.frames.d_frame=16", "--model.frames.input_dropout=0",
         "--model.frames.frame_dropout=0",
         "--model.frames.retrieval_dropout=0", "--data.retrieved=4"),
        24, ("--data.samples=3", "--data.batch_size=1"),
    ),
}  # fmt: skip


def newest(folder: Path, name: str, under: str) -> Path:
    found = [path for path in folder.rglob(name) if f"runs/{under}/" in path.as_posix()]
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def rows(folder: Path, model: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in newest(folder, "predictions.jsonl", model).read_text().splitlines()]


def test_two_processes_do_what_one_does(run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    few, commands = "--decoding.max_new_tokens=8", []
    os.chdir(one)  # the fixture goes back
    for model, (settings, size, asked) in MODELS.items():
        fit = ["fit", f"--config={model}", *settings, *COMMON]
        done = run(*fit, f"--data.batch_size={size}")
        assert done.code == 0, done.err
        commands.append([*fit, "--config=trainer/ddp", f"--data.batch_size={size // 2}"])
        commands.append(["predict", "--ckpt_path=last", "--config=trainer/ddp", few, *asked])
    by_two_processes(two, commands)

    for model, (_, _, asked) in MODELS.items():
        checkpoints = [newest(folder, "last.ckpt", model) for folder in (one, two)]
        expected, found = (read_metrics(path.parents[1] / "metrics.csv") for path in checkpoints)
        assert len(found["train/loss"]) == 3
        for name in ("train/loss", "val/loss"):
            got, wanted = ([value for _, value in metrics[name]] for metrics in (found, expected))
            assert got == pytest.approx(wanted, abs=2e-5), (model, name)
        weights = [torch.load(path, weights_only=True)["state_dict"] for path in checkpoints]
        for name, value in weights[0].items():
            torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-4)
        predicted = rows(two, model)
        assert [row["index"] for row in predicted] == [0, 1, 2]
        done = run("predict", f"--ckpt_path={checkpoints[1]}", few, *asked)  # the same weights, in one process
        assert done.code == 0, done.err
        alone = max(one.rglob("predictions.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        assert [json.loads(line) for line in alone.read_text().splitlines()] == predicted
