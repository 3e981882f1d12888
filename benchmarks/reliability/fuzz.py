"""Thousands of hostile inputs, each to the command in a child process, and what became of them.

    python benchmarks/reliability/fuzz.py --count 3000 --seed 0          # a table at the end; half an hour of a core
    python benchmarks/reliability/fuzz.py --what checkpoint --count 200
    python benchmarks/reliability/fuzz.py --again checkpoint:17:5        # one input once more, by what:seed:number

An input is a checkpoint of one of the systems that was tampered with, or the folder that it was exported to, a recipe,
a sweep file or the study of one, a value of an option, what is written on the page of `seqlight try`, or a file that a
person gives. Right is exit code 0, or one line with exit code 2 (1 for a diverged training). Counted as findings are
tracebacks, more than 10 s of CPU time, more than 2 GB of memory, and whatever runs a program, loads code that a
checkpoint or a data file names, or writes outside of the folder that the command runs in and its cache. An option or a
config may name a class of the user's own, which is then loaded.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.dont_write_bytecode = True  # what a child imports would be compiled beside the program, which it may not write

import matplotlib  # noqa: E402
from helpers.hostile.children import Outcome, run_child  # noqa: E402
from helpers.hostile.inputs import DRAWS, Input, draw, options_of, train_all  # noqa: E402
from helpers.hostile.systems import SYSTEMS  # noqa: E402

# Of so many inputs, over and over.
MIXTURE = (*("checkpoint",) * 4, *("file",) * 3, *("flag",) * 3, *("use",) * 3, "recipe", "sweep")


def prepare() -> None:
    """Imports what every child needs, so that each begins where the command parses its words."""
    import seqlight.command.trainer_cli  # noqa: F401
    from seq_modules.callbacks import Curves

    matplotlib.get_cachedir()
    Curves.on_fit_end = lambda *_: None  # type: ignore[method-assign]  # pictures take longer than all else


def try_input(what: str, seed: int, number: int, seeds: dict[str, Path], folder: Path) -> tuple[Input, Outcome]:
    """Draws an input by its numbers and gives it to the command."""
    rng = random.Random(f"{what} {seed} {number}")
    place = folder / f"{what}-{seed}-{number}"
    given = draw(what, place, seeds, rng)
    outcome = run_child(list(given.words), place, given.program)
    shutil.rmtree(place)
    return given, outcome


def main() -> None:
    """Runs the inputs and prints findings as they come, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--what", choices=sorted(DRAWS), help="one sort of inputs alone")
    parser.add_argument("--again", help="what:seed:number of one input")
    given = parser.parse_args()
    prepare()
    sorts = (given.what,) if given.what else MIXTURE
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    (folder / "seeds").mkdir()
    seeds = train_all(folder / "seeds")
    for name in SYSTEMS:
        options_of(name)
    if given.again:
        what, seed, number = given.again.split(":")
        tried, outcome = try_input(what, int(seed), int(number), seeds, folder)
        print(tried, outcome.code, f"{outcome.seconds:.1f} s, {outcome.megabytes} MB", outcome.said, sep="\n")
        return
    counts: Counter[tuple[str, str, str]] = Counter()
    seconds = 0.0
    for number in range(1, given.count + 1):
        what = sorts[(number - 1) % len(sorts)]
        tried, outcome = try_input(what, given.seed, number, seeds, folder)
        seconds += outcome.seconds
        verdict = "finding" if outcome.finding else {0: "taken", 2: "refused"}.get(outcome.code, "stopped")
        counts[tried.kind, tried.system, verdict] += 1
        if outcome.finding:
            print(f"{what}:{given.seed}:{number} {tried.system} ({tried.how}): {outcome.finding}", flush=True)
            print(f"    {tried.words[0]} ... {tried.words[-1][:100]!r}", flush=True)
    shutil.rmtree(folder)
    print(table(counts))
    print(f"\n{given.count} inputs, {seconds:.0f} s of CPU time in the children")


def table(counts: Counter[tuple[str, str, str]]) -> str:
    """Counts by kind and system, in Markdown."""
    lines = ["| input | system | inputs | taken | refused in a line | stopped in a line | findings |"]
    lines.append("|---|---|--:|--:|--:|--:|--:|")
    for kind, system in sorted({key[:2] for key in counts}):
        row = [counts[kind, system, verdict] for verdict in ("taken", "refused", "stopped", "finding")]
        lines.append(f"| {kind} | {system} | {sum(row)} | {' | '.join(map(str, row))} |")
    total = [sum(n for key, n in counts.items() if key[2] == v) for v in ("taken", "refused", "stopped", "finding")]
    lines.append(f"| all | all | {sum(total)} | {' | '.join(map(str, total))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
