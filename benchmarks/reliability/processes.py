"""Whether one process and two do the same, and whether a training can change between them, by the command itself.

    python benchmarks/reliability/processes.py                            # minutes
    python benchmarks/reliability/processes.py --only music

Small trainings of two epochs, without dropout, on the CPU. Two processes train with half the batch each, test and
predict. One process trains for some steps on the whole batches, two resume, and one resumes again and ends the
training; one process also tests and predicts with the first checkpoint of the two. Printed are the largest differences
between the training by two processes and the one that changed, and of tests and predictions. Every command is a
program of its own; two processes are started by Lightning (``--config trainer/ddp``).
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from helpers.processes.systems import TRAININGS, Training, by_two, differences, first_by_one, last_by_one  # noqa: E402

COLUMNS = ("metrics", "weights", "moments", "test", "predictions")


def run(folder: Path, commands: list[list[str]]) -> None:
    """Runs commands one after the other in a folder."""
    for words in commands:
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *words], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"seqlight {' '.join(words)}\n{done.stdout}{done.stderr}")


def compare(training: Training, folder: Path) -> dict[str, float]:
    """Runs all commands of a training in a folder; gives the largest differences."""
    two, changed = folder / "two", folder / "changed"
    for made in (two, changed):
        made.mkdir(parents=True)
    run(changed, first_by_one(training))
    whole, resumed = by_two(training)
    run(two, whole)
    run(changed, resumed)
    run(changed, last_by_one(training, two))
    return differences(two, changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="systems whose name begins so")
    args = parser.parse_args()
    print(f"| system | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in [name for name in TRAININGS if name.startswith(args.only)]:
            found = compare(TRAININGS[name], Path(folder, name.replace(" ", "_")))
            shown = (f"{found[column]:.0e}" if found[column] else "0" for column in COLUMNS)
            print(f"| {name} | {' | '.join(shown)} |", flush=True)


if __name__ == "__main__":
    main()
