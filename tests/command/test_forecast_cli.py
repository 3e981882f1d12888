"""Forecasting a CSV by the commands: a checkpoint is enough, and faults are named by file, line and column."""

import csv
import math
from pathlib import Path

import pytest
import torch
from conftest import Run, run_in
from helpers.commands.runs import newest

import seqlight

HEADER = "time,place,load,heat\n"
ROWS = [
    f"2024-01-{1 + hour // 24:02d} {hour % 24:02d}:00,x,{math.sin(hour * math.pi / 12) + 5:.6f},{hour % 24}\n"
    for hour in range(400)
]
FIT = (
    "fit", "--config=forecast/nlinear", "--data.path=series.csv", "--data.lookback=30", "--data.horizon=5",
    "--data.batch_size=16", "--trainer.max_epochs=3", "--trainer.accelerator=cpu", "--trainer.callbacks=[]",
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "series.csv").write_text(HEADER + "".join(ROWS))
    run_in(folder, *FIT)
    return newest("best.ckpt", folder)


def table() -> list[dict[str, str]]:
    with newest("forecast.csv").open() as file:
        return list(csv.DictReader(file))


def test_another_file_is_continued_by_the_checkpoint_alone(run: Run, fitted: Path) -> None:
    Path("new.csv").write_text(HEADER + "".join(ROWS[24:60]))  # the training file is not here
    done = run("predict", f"--ckpt_path={fitted}", "--data.predict_path=new.csv")
    assert done.code == 0, done.err
    rows = table()
    assert [(row["date"], row["series"]) for row in rows[:3]] == [
        ("2024-01-03 12:00:00", "load"), ("2024-01-03 12:00:00", "heat"), ("2024-01-03 13:00:00", "load"),
    ]  # fmt: skip
    past = torch.tensor([[float(cell) for cell in row.strip().split(",")[2:]] for row in ROWS[30:60]])
    expected = seqlight.load(fitted)(past[None])[0, :, :, 0].detach()  # (H, C)
    found = torch.tensor([float(row["forecast"]) for row in rows]).view(5, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert "date 2024-01-03 12:00:00  series load  forecast" in done.out


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (("5.5", ""), (), "data.path series.csv: line 52, column 'load': the value is missing; give it, or take"),
        (("03 02:00", "03 02:07"), (), "data.path series.csv, column 'time': line 52: 2024-01-03 02:07:00 is no whole"),
        (
            ("", ""),
            ("--data.horizon=60",),
            "data.lookback 30 and data.horizon 60 leave no window in the 40 rows of val",
        ),
        (("", ""), ("--model.quantiles=[0.1]", "--model.loss=pinball"), "model.quantiles must be rising levels"),
        (("", ""), ("--model.net.patches.stride=0",), "model.net.patches.stride must be at least 1"),
    ],
)
def test_a_fault_is_one_line(run: Run, change: tuple[str, str], flags: tuple[str, ...], message: str) -> None:
    rows = [*ROWS[:50], "2024-01-03 02:00,x,5.5,2\n".replace(*change), *ROWS[51:]]
    Path("series.csv").write_text(HEADER + "".join(rows))
    done = run(*FIT, *flags)
    assert done.code == 2
    assert done.err.splitlines()[0].startswith(f"seqlight: error: {message}"), done.err


def test_missing_rows_are_filled_on_request(run: Run) -> None:
    Path("series.csv").write_text(HEADER + "".join(ROWS[:50] + ROWS[52:]))
    done = run(*FIT, "--data.table.fill=forward", "--trainer.max_epochs=1")
    assert done.code == 0, done.err


def test_a_checkpoint_is_not_used_with_another_horizon(run: Run, fitted: Path) -> None:
    Path("series.csv").write_text(HEADER + "".join(ROWS))
    done = run("test", f"--ckpt_path={fitted}", "--data.horizon=6")
    assert done.code == 2
    assert "the checkpoint's weights do not fit the model" in done.err
