"""The files of a run survive a process that is killed: checkpoints are whole, and every logged row is on disk."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
from conftest import ROOT, SMALL

from seqlight.run_files.atomic_checkpoint import AtomicCheckpointIO

# A callback that ends the process at once, as SIGKILL does, in the middle of training.
KILLED = """
import os, sys
from lightning.pytorch import Callback
from seq_modules.callbacks import Curves
from seqlight.main import main

def kill(self, trainer, *args):
    if trainer.global_step == 7:
        os._exit(9)

Curves.on_train_batch_start = kill
main()
"""


def test_a_killed_training_keeps_every_logged_row(tmp_path: Path) -> None:
    words = ["fit", "--config", "parity/lstm_last", *SMALL, "--trainer.log_every_n_steps=1", "--trainer.max_epochs=1"]
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, "killed.py", *words]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }  # fonts take seconds
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 9, ended.stderr
    (file,) = tmp_path.rglob("metrics.csv")
    with file.open(newline="") as rows:
        logged = [int(row["step"]) for row in csv.DictReader(rows) if row["train/loss"]]
    assert logged == list(range(7))


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path, files = tmp_path / "new folder" / "best.ckpt", AtomicCheckpointIO()
    files.save_checkpoint({"a": torch.ones(2)}, path)

    class Unsaveable:
        def __reduce__(self) -> Any:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        files.save_checkpoint({"a": torch.zeros(2), "b": Unsaveable()}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["best.ckpt"]
