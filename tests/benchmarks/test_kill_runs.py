"""The script that kills trainings, on one system: a kill that no handler sees."""

import signal
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks/reliability"))

import kill_runs
from kill_runs import Kills, Report, words_of

from seq_modules.callbacks import Curves


def test_a_killed_training_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Curves, "on_fit_end", lambda *_: None)
    words = [*words_of("parity", tmp_path), "--trainer.max_epochs=3"]
    kills = Kills(words, tmp_path, warm=False)
    report = Report()
    for moment in (0.9, 0.8, 0.7, 0.6):  # until it is not over yet
        kills.kill(signal.SIGKILL, moment, report)
        if report.counts["kills"]:
            break
    assert report.faults == []
    assert report.counts["kills"] == 1
    (place,) = (path for path in tmp_path.iterdir() if path.name == "whole")
    lost = kill_runs.run_of(place)
    assert lost is not None
    (lost / "metrics.csv").write_text("step,train/loss\n0,0.5\n")  # the check itself sees what is missing
    kills.rows[("train/loss", 99)] = {"1"}
    assert kills.of_rows([lost])[0].startswith("rows: ")
