"""Two processes that torchrun starts once, and that then run the commands of every test of this worker.

To start them takes five times as long as to train a small net.
"""

import atexit
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from conftest import ROOT
from helpers.processes.commands import TORCHRUN

# A job is a file of commands: each process runs them and writes what it said beside it. The standard input is closed
# when the tests have ended.
SCRIPT = """
import contextlib, itertools, json, os, select, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from seqlight.main import main
folder, rank = Path.cwd(), os.environ["RANK"]
for number in itertools.count():
    while not (folder / f"{number}.json").exists():
        if select.select([sys.stdin], [], [], 0.05)[0]:
            sys.exit()
    variables, commands = json.loads((folder / f"{number}.json").read_text())
    os.environ.update(variables)
    with open(folder / f"{number}.{rank}.said", "w") as said, contextlib.redirect_stdout(said):
        for place, words in commands:
            os.chdir(place)
            sys.argv = ["seqlight", *words]
            try:
                main()
            except SystemExit as end:
                if end.code:
                    raise
    (folder / f"{number}.{rank}.done").touch()
"""


class TwoProcesses:
    """The two processes. A command that fails ends them, as it would end a run."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="two-processes-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.jobs = 0
        (self.folder / "commands.py").write_text(SCRIPT)
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*TORCHRUN, "commands.py", str(ROOT)],
                cwd=self.folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": matplotlib.get_cachedir()},  # fonts: seconds
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def run(self, commands: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
        """Runs commands, each a folder and words, one after the other by both; what each process printed."""
        number, self.jobs = self.jobs, self.jobs + 1
        variables = {name: os.environ[name] for name in ("XDG_CACHE_HOME",) if name in os.environ}
        written = self.folder / "written"
        written.write_text(json.dumps([variables, commands]))
        written.rename(self.folder / f"{number}.json")  # at once whole
        done = [self.folder / f"{number}.{rank}.done" for rank in range(2)]
        end = time.monotonic() + 900
        while not all(path.exists() for path in done):
            assert time.monotonic() < end, "two processes did not end within a quarter of an hour"
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)
        return [(self.folder / f"{number}.{rank}.said").read_text() for rank in range(2)]


_running: TwoProcesses | None = None


def two_processes() -> TwoProcesses:
    """The two processes of this worker, started when they are first asked for, and anew after a failure."""
    global _running
    if _running is None or _running.process.poll() is not None:
        _running = TwoProcesses()
    return _running
