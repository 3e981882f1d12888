"""Kills trainings of every system at random moments, resumes them, and compares them with trainings left alone.

    python benchmarks/reliability/kill_runs.py                        # 50 kills of each system; hours of one core
    python benchmarks/reliability/kill_runs.py --kills 10 --systems parity GPT --seed 3

Signals are SIGTERM, SIGINT and SIGKILL in turn. The moment is drawn from the whole run (the reading of the settings,
the data, the checks before training, training and validation), or from its second half, in turn. The training that
resumes one that was killed is killed too, up to five times in a row; the last ends by itself. The processes are forked
from one that has imported torch, so that no moment is lost on imports. ``last.ckpt`` is saved as often as its cost
allows. It is checked that

* SIGTERM ends the process with exit code 143 and SIGINT with 130, with one line and no traceback,
* ``last.ckpt`` and ``best.ckpt`` are whole if they are there, and after SIGTERM or SIGINT no unfinished file is left,
* the last training ends with weights and moments of the optimiser equal to the bit to those of the one left alone,
* the files ``metrics.csv`` together have every row of its file, with the same values, and none that it lacks,
* ``best.ckpt`` at the end has the same weights, and nothing unfinished is left.

What was killed before its first save is begun again, or resumed again from the save before.
"""

import argparse
import csv
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib  # noqa: E402
import torch  # noqa: E402
from helpers.hostile.systems import SYSTEMS  # noqa: E402

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}
LONG = (
    "--trainer.max_epochs=3", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu", "--trainer.callbacks=[]",
    "--trainer.limit_train_batches=8", "--trainer.limit_val_batches=4", "--trainer.enable_progress_bar=false",
    "--last_checkpoint.minutes=0.00001",
)  # fmt: skip
# In place of what makes the systems' trainings small: enough batches for an epoch of eight.
SIZES = {
    "parity": ("--data.train_size=64", "--data.val_size=32", "--data.batch_size=8"),
    "formal": ("--data.train_size=64", "--data.val_size=32", "--data.batch_size=8"),
    "translation": ("--data.train_size=64", "--data.val_size=32"),
    "translation Transformer": ("--data.train_size=64", "--data.val_size=32"),
    "mlp": ("--data.points.size=120", "--data.batch_size=8", "--trainer.max_epochs=6"),  # others take longer
    "GPT": ("--data.windows.epoch_size=32", "--data.windows.eval_size=16"),
    "RNN LM": ("--data.windows.epoch_size=32", "--data.windows.eval_size=16"),
    "streamed GPT": ("--data.stream.epoch_size=32", "--data.held_out.windows=16"),
    "music events": ("--data.windows.epoch_size=32",),
    "music Transformer": ("--data.windows.epoch_size=32",),
}
CHAIN = 5  # kills in a row, each of the training that resumes the one before
TIMED = ("seconds", "minutes", "time")  # metrics that no two trainings share
END = 60.0  # seconds after which a process that was told to end is taken to hang


@dataclass
class Forked:
    """A command in a process of its own.

    Args:
        words: The command.
        folder: Where it runs; what it says is in a file there.
    """

    words: Sequence[str]
    folder: Path
    process: int = 0
    code: int | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / f"said{sum(1 for _ in self.folder.glob('said*'))}"
        sys.stdout.flush()
        self.process = os.fork()
        if not self.process:
            self._live()

    def _live(self) -> None:
        """The child's life; it does not return."""
        code = 1
        try:
            said = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
            os.chdir(self.folder)
            os.environ["XDG_CACHE_HOME"] = str(self.folder.parent / "cache")
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            from seqlight.main import main

            sys.argv = ["seqlight", *self.words]
            try:
                main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float) -> bool:
        """Waits so long for the end; whether it has come."""
        end = time.monotonic() + seconds
        while self.code is None:
            done, status = os.waitpid(self.process, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                return False
            else:
                time.sleep(0.002)
        return True

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@dataclass
class Report:
    """What became of the kills of a system by a signal.

    Attributes:
        counts: Kills, those before the first save, and faults by kind.
        faults: Each fault in a line.
        slowest: Most seconds from the signal to the end.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def add(self, found: Sequence[str], kills: str) -> list[str]:
        """Counts faults, with the kills that led to them."""
        self.counts.update(fault.partition(":")[0] for fault in found)
        said = [f"{fault}: after {kills}" for fault in found]
        self.faults += said
        return said


class Kills:
    """Trainings of one system, killed and resumed.

    Args:
        words: The command ``fit`` of a short training.
        folder: Where everything is done.
        warm: Whether a training before the others fills the cache, whose making takes a part of the time.
    """

    def __init__(self, words: Sequence[str], folder: Path, warm: bool = True) -> None:
        self.words, self.folder, self.count = ("fit", *words), folder, 0
        for name in ("warm", "whole")[not warm :]:
            started = time.monotonic()
            whole = Forked(self.words, folder / name)
            whole.wait(600)
            assert whole.code == 0, whole.said
            self.seconds = time.monotonic() - started
        made = run_of(folder / "whole")
        assert made is not None
        self.whole, self.rows = made, rows(made)

    def kill(self, plan: Sequence[tuple[signal.Signals, float]], reports: dict[signal.Signals, Report]) -> int:
        """Kills a training, then the one that resumes it, and so on; trains the last to its end, and reports.

        Args:
            plan: Signals, each with a moment, as a fraction of the time that the training left alone took.
            reports: What is lengthened, by the signal.

        Returns:
            How many were killed: fewer than planned if a training ended before its moment.
        """
        self.count += 1
        place = self.folder / f"{self.count}"
        saved: list[Path] = []  # runs with a checkpoint
        faults: list[str] = []
        killed: list[str] = []
        words = self.words
        for number, moment in plan:
            process, report = Forked(words, place), reports[number]
            if process.wait(moment * self.seconds):
                break
            was_done = "results: " in process.said
            told = time.monotonic()
            os.kill(process.process, number)
            hangs = not process.wait(END)
            if hangs:
                os.kill(process.process, signal.SIGKILL)
                process.wait(END)
            elif process.code == 0 and (was_done or number == signal.SIGKILL):  # it ended in the moment before
                break
            killed.append(f"{number.name} at {moment:.3f}")
            report.counts["kills"] += 1
            report.slowest = max(report.slowest, time.monotonic() - told)
            found = ["hangs: does not end"] * hangs + self.of_the_end(process, number)
            begun = run_of(place)
            if begun is not None:
                found += [f"damaged: {path.name}" for path in begun.rglob("*.ckpt") if not whole(path)]
            if begun is None or begun in saved or not (last := begun / "checkpoints/last.ckpt").exists():
                report.counts["before the first save"] += 1
            else:
                saved.append(begun)
                words = ("fit", f"--ckpt_path={last}")
            faults += report.add(found, f"{', '.join(killed)} ({place})")
        else:
            process = Forked(words, place)
            process.wait(600)
        if killed:
            faults += report.add(self.of_the_rest(process, saved), f"{', '.join(killed)} ({place})")
        if not faults:
            shutil.rmtree(place)
        return len(killed)

    def of_the_end(self, process: Forked, number: signal.Signals) -> list[str]:
        """What was wrong with how the killed process ended."""
        faults = []
        if process.code not in (CODES[number], -number):  # before the program has set its handlers, the system ends it
            faults.append(f"exit code: {process.code}")
        if "Traceback" in process.said:
            faults.append(f"traceback: {process.said.strip().splitlines()[-1]}")
        if number != signal.SIGKILL and process.code == CODES[number]:
            lines = [line for line in process.said.splitlines() if "stopped by" in line]
            if len(lines) != 1:
                faults.append(f"lines: {lines}")
            if list(process.folder.rglob(f"*-{process.process}.part")):
                faults.append("unfinished: files are left after the end")
        return faults

    def of_the_rest(self, process: Forked, saved: Sequence[Path]) -> list[str]:
        """What was wrong with the training that went on to the end, after those that had saved a checkpoint."""
        run = run_of(process.folder)
        if process.code != 0 or run is None:
            return [f"resume: exit code {process.code}: {process.said.strip().splitlines()[-1:]}"]
        if saved and not (run / "checkpoints").exists():  # all had been trained, and the rest was nothing
            run = saved[-1]
        faults = []
        if not same(run, self.whole, "last.ckpt"):
            faults.append("weights: differ from those of the training left alone")
        if (self.whole / "checkpoints/best.ckpt").exists() and not same(run, self.whole, "best.ckpt"):
            faults.append("best: differs from that of the training left alone")
        faults += self.of_rows([*saved, run])
        if list(process.folder.rglob("*.part")):
            faults.append("unfinished: files are left after the resumed training")
        return faults

    def of_rows(self, runs: Sequence[Path]) -> list[str]:
        """How the metrics of runs together differ from those of the training left alone."""
        found, faults = rows(*runs), []
        if missing := sorted(set(self.rows) - set(found)):
            faults.append(f"rows: {len(missing)} are missing, the first {missing[0]}")
        if other := sorted(key for key in found if found[key] != self.rows.get(key)):
            faults.append(f"rows: {len(other)} are others, the first {other[0]}")
        return faults


def run_of(folder: Path) -> Path | None:
    """The newest run's folder below one; None if there is none with a config."""
    runs = [path.parent for path in folder.rglob("config.yaml")]
    return max(runs, key=lambda path: (path / "config.yaml").stat().st_mtime_ns, default=None)


def whole(path: Path) -> bool:
    """Whether a checkpoint is read without an error."""
    from seqlight.checkpoints import read_checkpoint

    try:
        read_checkpoint(path)
    except ValueError:
        return False
    return True


def same(one: Path, other: Path, name: str) -> bool:
    """Whether the weights and the optimiser's moments of two runs' checkpoints are equal to the bit."""
    files = [run / "checkpoints" / name for run in (one, other)]
    if not all(file.exists() for file in files):
        return False
    contents = [torch.load(file, weights_only=True) for file in files]
    return equal(*(content["state_dict"] for content in contents)) and equal(
        *(content["optimizer_states"][0]["state"] for content in contents)
    )


def equal(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the bit."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def rows(*runs: Path) -> dict[tuple[str, int], set[str]]:
    """The values of each metric at each step, in the files of runs; of one that a kill has cut, its whole lines."""
    found: dict[tuple[str, int], set[str]] = {}
    for run in runs:
        path = run / "metrics.csv"
        if not path.exists():
            continue
        for row in csv.DictReader(path.read_text().splitlines()):
            for name, value in row.items():
                if value and name not in ("step", "epoch") and not any(word in name for word in TIMED):
                    found.setdefault((name, int(row["step"])), set()).add(value)
    return found


def prepare() -> None:
    """Imports what every child needs."""
    import seqlight.command.trainer_cli
    import seqlight.main  # noqa: F401
    from seq_modules.callbacks import Curves

    matplotlib.get_cachedir()
    gc.freeze()  # a child copies no page of what is imported
    Curves.on_fit_end = lambda *_: None  # type: ignore[method-assign]  # pictures take longer than all else


def words_of(name: str, book: Path) -> list[str]:
    """The words of a system's short training."""
    system = SYSTEMS[name]
    given = [word.replace("book.txt", str(book)) for word in system.words]
    return [f"--config={system.recipe}", *given, *LONG, *SIZES.get(name, ())]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each system")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has it ignored in what it starts in the background
    prepare()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    book = folder / "book.txt"
    book.write_text(
        "".join(f"The {one} sees the {other}.\n" for one in ("fox", "cat") for other in ("sea", "sun")) * 300
    )
    print("| system | signal | kills | before the first save | faults | slowest end, s |\n|---|---|---:|---:|---|---:|")
    faults: list[str] = []
    for name in args.systems:
        rng = random.Random(f"{args.seed} {name}")
        reports = {number: Report() for number in SIGNALS}
        kills = Kills(words_of(name, book), folder / name.replace(" ", "_"))
        done = 0
        while done < args.kills:
            turns = range(done, min(done + CHAIN, args.kills))
            least = 0.5 * (kills.count % 2)  # a fresh process takes half of its time for its settings and its data
            done += kills.kill([(SIGNALS[turn % 3], rng.uniform(least, 1.0)) for turn in turns], reports)
        for number, report in reports.items():
            no_faults = ("kills", "before the first save")
            kinds = [f"{count} {kind}" for kind, count in report.counts.items() if kind not in no_faults]
            said = ", ".join(kinds) or "none"
            counts = f"{report.counts['kills']} | {report.counts['before the first save']}"
            print(f"| {name} | {number.name} | {counts} | {said} | {report.slowest:.1f} |", flush=True)
            faults += report.faults
    print("\n".join(faults))
    if not faults:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
