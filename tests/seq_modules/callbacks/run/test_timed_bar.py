"""The bar in a terminal: drawn now and then, and whole at the end."""

import io
from pathlib import Path

import pytest
from helpers.trainers import quiet_trainer

from datamodules import ParityDataModule
from seq_modules import ParityModule
from seq_modules.callbacks import TimedBar


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.0, 30, 200), (1000.0, 1, 3)])
def test_it_draws_by_the_clock_and_always_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, least: int, most: int
) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", out)
    data = ParityDataModule(batch_size=8, train_size=320, val_size=8)
    settings = {"max_epochs": 1, "enable_progress_bar": True, "num_sanity_val_steps": 0, "log_every_n_steps": 10}
    trainer = quiet_trainer(tmp_path, TimedBar(seconds), **settings)
    trainer.fit(ParityModule(net={"hidden_size": 2}), data)
    drawn = [text for text in out.getvalue().split("\r") if text.startswith("Epoch 0:") and "?it/s" not in text]
    assert least <= len({text.partition("[")[0] for text in drawn}) <= most
    assert "40/40" in drawn[-1]
    assert "train/loss" in drawn[-1]


def test_no_bar_without_a_terminal_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, by_default in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr("sys.stdout", stream)
        assert TimedBar.wanted(None) is by_default
        assert TimedBar.wanted(True) is True
        assert TimedBar.wanted(False) is False
