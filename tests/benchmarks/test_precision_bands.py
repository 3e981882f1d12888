"""The precision benchmark: a row of its table, its picture, and what it says of a curve outside of its band."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks/studies"))

import precision_bands


def test_a_row_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(precision_bands.CASES, "parity", (
        "--config=parity/lstm_full", "--model.input_noise=0", "--model.net.hidden_size=4", "--data.train_size=256",
        "--data.val_size=32", "--data.batch_size=16", "--trainer.accelerator=cpu",
    ))  # fmt: skip
    words = ["precision_bands.py", "--only=parity", "--steps=24", "--plot=pictures/curves.png", "--control=1"]
    monkeypatch.setattr(sys, "argv", [*words, "--", "--model.optim.learning_rate=0.01"])
    precision_bands.main()
    said = capsys.readouterr().out
    (row,) = (line for line in said.split("\n") if line.startswith("| parity"))
    first, last, mixed, true, changed = row.strip("| ").split(" | ")[1:]
    assert all(0.6 < float(loss) < 0.8 for loss in (first, last))
    assert 0 <= float(true.rstrip(" %")) < 8
    assert 0 <= float(mixed.rstrip(" %")) < 2
    assert float(changed.rstrip(" %")) < 0.01
    assert "24 steps each." in said
    assert (tmp_path / "pictures/curves.png").stat().st_size > 1000
    monkeypatch.setattr(precision_bands, "curve", lambda *_: [1.0])
    monkeypatch.setitem(precision_bands.BANDS, "bf16-true", 0.0)
    monkeypatch.setattr(sys, "argv", ["precision_bands.py", "--only=parity", "--steps=20"])
    with pytest.raises(SystemExit, match="outside of its band: parity in bf16-true"):
        precision_bands.main()


def test_distance() -> None:
    assert precision_bands.distance([2.0, 1.0, 0.5], [2.0, 1.2, 0.4]) == pytest.approx(0.1)
