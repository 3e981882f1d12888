"""Two processes train a perceptron as one does with the global batch, and test and predict each row once."""

import json
from pathlib import Path

import pytest
import torch
from conftest import run_in
from helpers.commands.runs import by_two_processes
from helpers.processes.commands import only

from seqlight.core.plots import read_metrics

# 101 points: 65 to train on, 16 to validate, 20 to test; the last batch of 20 has five, which two cannot halve.
FIT = (
    "fit", "--config=mlp/moons", "--model.net.hidden_sizes=[6]", "--data.points.size=101", "--trainer.max_epochs=2",
    "--trainer.log_every_n_steps=1", "--trainer.callbacks=[]",
)  # fmt: skip
LATER = (("test", "--ckpt_path=last"), ("predict", "--ckpt_path=last"))
STYLES = {"numpy": "velocity", "module": "momentum_buffer"}  # and the optimiser's name for what momentum keeps


def commands(style: str, *words: str) -> list[list[str]]:
    """A training, a test and a prediction, each with further words."""
    return [[*FIT, f"--model.style={style}", *words], *([*later, *words] for later in LATER)]


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    two = tmp_path / "two"
    by_two_processes(two, *(commands(style, "--config=trainer/ddp", "--data.batch_size=10") for style in STYLES))
    for number, (style, velocity) in enumerate(STYLES.items()):
        one = tmp_path / style
        one.mkdir()
        for words in commands(style, "--config=trainer/cpu", "--data.batch_size=20"):
            run_in(one, *words)
        folders = one, two / str(number)
        for place, name in (("", "train/loss"), ("", "val/accuracy"), ("test/*/", "test/loss")):
            curves = [read_metrics(*folder.glob(f"runs/mlp/moons/*/{place}metrics.csv")) for folder in folders]
            assert len(curves[0][name]) > 0
            assert [step for step, _ in curves[1][name]] == [step for step, _ in curves[0][name]]
            expected = [value for _, value in curves[0][name]]
            assert [value for _, value in curves[1][name]] == pytest.approx(expected, abs=2e-6), (style, name)
        checkpoints = [torch.load(only(folder, "last.ckpt"), weights_only=True) for folder in folders]
        states = [content["state_dict"] for content in checkpoints]
        kept = [content["optimizer_states"][0]["state"] for content in checkpoints]
        for name, weight in states[0].items():
            torch.testing.assert_close(states[1][name], weight, rtol=0, atol=2e-6)
        assert len(kept[0]) == 4
        for key, state in kept[0].items():
            torch.testing.assert_close(kept[1][key][velocity], state[velocity], rtol=0, atol=2e-6)
        rows = [[json.loads(line) for line in only(f, "predictions.jsonl").read_text().splitlines()] for f in folders]
        assert len(rows[0]) == 20
        assert [row["label"] for row in rows[1]] == [row["label"] for row in rows[0]]
        for mine, expected_row in zip(rows[1], rows[0], strict=True):
            assert mine["probability"] == pytest.approx(expected_row["probability"], abs=1e-5)
