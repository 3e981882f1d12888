"""Commands in processes of their own, as a user or a batch system starts them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT

# A training of parity with odd numbers: 37 validation and 41 test rows come out even on no two ranks.
ODD_PARITY = (
    "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--data.train_size=200", "--data.val_size=37",
    "--data.test_size=41", "--data.test_max_length=60", "--model.net.hidden_size=5", "--model.supervision=full",
    "--model.input_noise=0",  # each process would draw its own
)  # fmt: skip
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")


def start(words: list[str], folder: Path, *launcher: str, **variables: str) -> subprocess.Popen[str]:
    """Starts ``seqlight WORDS`` in a folder; its output and errors come together."""
    environment = {k: v for k, v in os.environ.items() if k != "SEQLIGHT_DEBUG"}
    environment |= {"OMP_NUM_THREADS": "1", **variables}
    command = [*(launcher or (sys.executable,)), str(ROOT / "cli.py"), *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Waits for a command that ends well; what it said."""
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def only(folder: Path, name: str) -> Path:
    """The one file of that name (or pattern) under a folder."""
    (found,) = folder.rglob(name)
    return found


def wait_until_trained(folder: Path, rows: int = 20) -> None:
    """Waits, for five minutes at most, until the run in a folder has logged so many rows."""
    for _ in range(3000):
        logs = list(folder.rglob("metrics.csv"))
        if logs and len(logs[0].read_text().splitlines()) > rows:
            return
        time.sleep(0.1)
    raise AssertionError("no training within five minutes")


def rank_processes(process: subprocess.Popen[str]) -> dict[int, int]:
    """Process numbers by rank, of a command that Lightning or torchrun runs as several."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    found = {0: process.pid}  # Lightning's launcher itself
    for pid in children:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        found |= {int(value.partition(b"=")[2]): int(pid) for value in variables if value.startswith(b"LOCAL_RANK=")}
    return found
