"""Two processes train on the batches of one, and measure each test window once."""

import csv
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.commands.runs import by_two_processes, newest

from seqlight.core.plots import read_metrics

WORDS = (
    "--config=forecast/gru", "--data.generated.num_rows=161", "--data.lookback=24", "--data.horizon=4",
    "--data.split.rows=[101,30,30]", "--model.net.rnn.hidden_size=8", "--model.optim.learning_rate=0.001",
    "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
    '--trainer.callbacks=[{"class_path":"ErrorByHorizon"}]',
)  # fmt: skip


def test_two_processes_do_what_one_does(run: Run, tmp_path: Path) -> None:
    two = tmp_path / "two"
    commands = [
        ["fit", *WORDS, "--data.batch_size=8", "--config=trainer/ddp"],
        ["test", "--ckpt_path=last", "--config=trainer/ddp"],
        ["predict", "--ckpt_path=last", "--config=trainer/ddp"],
    ]
    by_two_processes(two, commands)
    for words in (
        ["fit", *WORDS, "--data.batch_size=16"],
        ["test", "--ckpt_path=last"],
        ["predict", "--ckpt_path=last"],
    ):
        done = run(*words)
        assert done.code == 0, done.err
    (one,) = Path("runs/forecast/gru").iterdir()
    (other,) = (two / "runs/forecast/gru").iterdir()
    for pattern, names in (
        ("metrics.csv", ("train/loss", "val/loss", "val/mase", "val/coverage_80")),
        ("test/*/metrics.csv", ("test/loss", "test/mse", "test/smape", "test/coverage_50")),
    ):
        expected, found = (read_metrics(next(folder.glob(pattern))) for folder in (one, other))
        for name in names:
            assert [step for step, _ in found[name]] == [step for step, _ in expected[name]], name
            values = [[value for _, value in part[name]] for part in (found, expected)]
            assert values[0] == pytest.approx(values[1], abs=1e-4), name
    contents = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (one, other)]
    for name, value in contents[0]["state_dict"].items():
        torch.testing.assert_close(contents[1]["state_dict"][name], value, rtol=0, atol=2e-5)
    for file in ("error_by_horizon.csv", "forecast.csv"):
        tables = []
        for folder in (one, other):
            with newest(file, folder).open() as stream:
                tables.append(list(csv.reader(stream)))
        assert len(tables[0]) == len(tables[1]) == (5 if "error" in file else 1 + 4 * 3)
        first = 1 if "error" in file else 2
        for expected_row, row in zip(tables[0][1:], tables[1][1:], strict=True):
            assert row[:first] == expected_row[:first]
            assert list(map(float, row[first:])) == pytest.approx(
                list(map(float, expected_row[first:])), rel=1e-3, abs=1e-3
            )
