"""What cannot be written is one line with the path and the remedy, and what is there stays whole."""

import errno
import os
from pathlib import Path

import pytest
import torch
from conftest import SMALL, Run
from helpers.disks import full_disk

from seqlight.core.errors import WritingError
from seqlight.core.files.write_errors import writing
from seqlight.run_files.atomic_checkpoint import AtomicCheckpointIO
from seqlight.run_files.metrics_csv import MetricsCSV


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO])
def test_failures_of_writing(tmp_path: Path, number: int) -> None:
    said = rf"{tmp_path}/a cannot be written \({os.strerror(number)}\); "
    with pytest.raises(WritingError, match=said), writing(tmp_path / "a"):
        raise OSError(number, os.strerror(number))


def test_what_is_missing_elsewhere_is_no_failure_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path / "run/a"):
        (tmp_path / "data.txt").read_text()
    with pytest.raises(WritingError, match="its folder is gone"), writing(tmp_path / "run/a"):
        (tmp_path / "run/b").write_text("")


def test_a_checkpoint_on_a_full_disk(tmp_path: Path) -> None:
    path, files = tmp_path / "last.ckpt", AtomicCheckpointIO()
    files.save_checkpoint({"a": torch.ones(2)}, path)
    with full_disk(2000), pytest.raises(WritingError, match=r"last\.ckpt cannot be written"):
        files.save_checkpoint({"a": torch.zeros(5000)}, path)
    assert torch.load(path, weights_only=True)["a"].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("row", [{"a": 1.0}, {"a": 1.0, "b": 2.0}], ids=["row", "column"])
def test_metrics_on_a_full_disk(tmp_path: Path, row: dict[str, float]) -> None:
    logger = MetricsCSV(str(tmp_path), "run", "one")
    logger.log_metrics({"a": 0.5}, 0)
    logger.save()
    path = tmp_path / "run/one/metrics.csv"
    before = path.read_text()
    logger.log_metrics(row, 1)
    with full_disk(len(before) + 3), pytest.raises(WritingError, match=r"metrics\.csv cannot be written"):
        logger.save()
    assert path.read_text() == before


def test_a_command_on_a_full_disk_and_in_a_folder_that_is_none(run: Run) -> None:
    words = ("fit", "--config=parity/lstm_last", *SMALL, "--trainer.max_epochs=1", "--model.net.hidden_size=64")
    with full_disk(20_000):
        done = run(*words)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert done.err.count("seqlight: error:") == 1
    assert "checkpoints/best.ckpt cannot be written (" in done.err
    assert list(Path("runs").rglob("metrics.csv"))
    assert not list(Path("runs").rglob("*.part"))
    done = run(*words, "--trainer.default_root_dir=/proc/runs")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "seqlight: error: /proc/runs cannot be written (" in done.err
