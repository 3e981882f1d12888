"""The recipe of the demo does what the README says of it."""

import csv
from pathlib import Path

from conftest import Run


def test_the_demo_solves_parity(run: Run) -> None:
    sweep = '--trainer.callbacks=[{"class_path":"LengthSweep","init_args":{"every":51,"stream_bits":20000}}]'
    trained = run("fit", "--config=parity/lstm_last", "--trainer.accelerator=cpu")
    assert trained.code == 0, trained.err
    tested = run("test", "--ckpt_path=best", sweep)
    assert tested.code == 0, tested.err
    (metrics,) = Path().rglob("test/*/metrics.csv")
    with metrics.open(newline="") as file:
        measured = next(csv.DictReader(file))
    assert float(measured["test/accuracy_last"]) == 1.0
    assert float(measured["test/sweep_min_accuracy"]) == 1.0
    assert float(measured["test/stream_errors"]) == 0
