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
    words = [*words_of("parity", tmp_path), "--trainer.max_epochs=2"]
    kills = Kills(words, tmp_path, warm=False)
    reports = {signal.SIGKILL: Report()}
    for _ in range(4):  # until one is not over yet
        if kills.kill([(signal.SIGKILL, 0.7), (signal.SIGKILL, 0.5)], reports):
            break
    assert reports[signal.SIGKILL].faults == []
    assert reports[signal.SIGKILL].counts["kills"] in (1, 2)
    (place,) = (path for path in tmp_path.iterdir() if path.name == "whole")
    lost = kill_runs.run_of(place)
    assert lost is not None
    (lost / "metrics.csv").write_text("step,train/loss\n0,0.5\n")  # the check itself sees what is missing
    kills.rows[("train/loss", 99)] = {"1"}
    assert kills.of_rows([lost])[0].startswith("rows: ")
