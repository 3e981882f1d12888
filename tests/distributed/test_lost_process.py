"""One process of a run is killed: the others end with one line that says so, and what is saved can be used."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.processes.commands import ODD_PARITY, TORCHRUN, only, rank_processes, start, wait_until_trained

from seqlight.core.plots import read_metrics

FOR_EVER = (
    "fit", "--config=parity/lstm_last", "--config=trainer/ddp", *ODD_PARITY, "--data.batch_size=10",
    "--trainer.callbacks=[]", "--trainer.max_epochs=100000", "--last_checkpoint.minutes=0.01",
)  # fmt: skip


@pytest.mark.parametrize(
    ("launcher", "rank", "named"),
    [
        ((), 0, "rank 0 (process {}) is gone"),
        ((), 1, "rank 1 (process {}) has ended: killed by signal 9 (Killed)"),
        (TORCHRUN, 1, "rank 1 is gone"),
    ],
    ids=["launcher", "launched", "torchrun"],
)
def test_a_killed_process_ends_the_run(
    run: Run, caplog: pytest.LogCaptureFixture, tmp_path: Path, launcher: tuple[str, ...], rank: int, named: str
) -> None:
    process = start(list(FOR_EVER), tmp_path, *launcher)
    wait_until_trained(tmp_path)
    while not list(tmp_path.rglob("last.ckpt")) and process.poll() is None:
        time.sleep(0.1)
    killed = rank_processes(process)[rank]
    os.kill(killed, signal.SIGKILL)
    said, _ = process.communicate(timeout=600)  # until no process has the pipe: none is left behind
    assert process.returncode == (-signal.SIGKILL if rank == 0 else 1)
    checkpoint = only(tmp_path, "last.ckpt").relative_to(tmp_path)
    line = f"error: {named.format(killed)}, and the run with it; to go on: seqlight fit --ckpt_path {checkpoint}\n"
    assert said.count(line) == said.count("seqlight: error") == 1, said
    if not launcher:  # torchrun adds a report of its own
        assert "Traceback" not in said
    step = torch.load(tmp_path / checkpoint, weights_only=True)["global_step"]
    rows = read_metrics(only(tmp_path, "metrics.csv"))["train/loss"]
    assert [at for at, _ in rows] == list(range(len(rows)))  # whole, to the last step
    assert 0 < step <= len(rows)  # every step that the checkpoint holds is in the file
    if rank == 1 and not launcher:  # by one process, since the checkpoint starts no second one
        done = run("fit", f"--ckpt_path={checkpoint}", f"--trainer.max_steps={step + 1}")
        assert done.code == 0, done.err
        assert "had devices 2, strategy ddp; this one takes what this machine has" in caplog.text


def test_killed_before_the_processes_have_met(tmp_path: Path) -> None:
    """The other one would wait for the killed one for half an hour."""
    process = start(list(FOR_EVER), tmp_path)
    ranks = {0: process.pid}
    while len(ranks) == 1 and process.poll() is None:
        time.sleep(0.2)
        ranks = rank_processes(process)
    process.kill()
    said, _ = process.communicate(timeout=600)
    gone = rf"error: rank 0 \(process {process.pid}\) is gone, and the run with it; "
    assert len(re.findall(gone + "(no checkpoint was saved yet: )?start it again\n", said)) == 1, said
