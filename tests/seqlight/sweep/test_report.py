"""A sweep's table: rows by their settings, repetitions summed up."""

import csv
from pathlib import Path
from typing import Any

import pytest

from seqlight.sweep import Sweep
from seqlight.sweep.report import spread, write_report
from seqlight.sweep.sweep_file import Report


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "-"), ([0.5], "0.5"), ([1.0, 2.0, 6.0], "3 ± 2.6 (1 / 2 / 6)"), ([1, 1], "1 ± 0 (1 / 1 / 1)")],
)
def test_spread(values: list[float], text: str) -> None:
    assert spread(values) == text


def trial(cell: str, seed: int, accuracy: float) -> dict[str, Any]:
    return {
        "model.net.cell": cell, "seed_everything": seed, "metrics": {"acc": accuracy}, "run": f"runs/{cell}{seed}",
        "seconds": 1.0,
    }  # fmt: skip


def test_rows_are_settings_and_seeds_are_repetitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grid: dict[str, list[Any]] = {"model.net.cell": ["rnn", "lstm"], "seed_everything": [0, 1]}
    sweep = Sweep("cells", ["parity/lstm_last"], "acc", grid=grid, report=Report({"acc": 1.0}, ["acc"]))
    sweep.folder.mkdir(parents=True)
    trials = [trial("lstm", 1, 1.0), trial("rnn", 0, 0.5), trial("lstm", 0, 1.0), trial("rnn", 1, 1.0)]
    lines = write_report(sweep, trials).splitlines()
    assert [line.split(" | ")[:3] for line in lines[2:]] == [["| rnn", "2", "1 of 2"], ["| lstm", "2", "2 of 2"]]
    rows = list(csv.DictReader((sweep.folder / "trials.csv").read_text().splitlines()))
    assert len(rows) == 4
    assert rows[0]["seed_everything"] == "1"
    assert (sweep.folder / "table.md").read_text() == "\n".join(lines) + "\n"
    assert (sweep.folder / "picture.png").stat().st_size > 1000


def test_runs_that_diverged_are_counted_and_lists_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stops = [["a", "1e3"], None]
    grid: dict[str, list[Any]] = {"data.stop": stops, "seed_everything": [0, 1]}
    sweep = Sweep("lists", ["parity/lstm_last"], "acc", grid=grid, report=Report(columns=["acc"]))
    sweep.folder.mkdir(parents=True)
    trials = [{**trial("x", seed, 1.0), "data.stop": stop} for stop in stops for seed in (0, 1)]
    trials[0] |= {"metrics": {"acc": float("nan")}, "diverged": "training has diverged"}
    lines = write_report(sweep, trials).splitlines()
    assert lines[2:] == ["| [a, '1e3'] | 2 (1 diverged) | 1 |", "| None | 2 | 1 ± 0 (1 / 1 / 1) |"]
