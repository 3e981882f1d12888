"""Losses and predictions of every recipe after a short training with a fixed seed, to compare two states of the code.

    git worktree add /tmp/before COMMIT
    python benchmarks/code/recipe_losses.py record before.json --tree /tmp/before
    python benchmarks/code/recipe_losses.py record after.json
    python benchmarks/code/recipe_losses.py compare before.json after.json

A recipe runs through the command, in a fresh process with one thread, with the small settings of
``tests/command/test_configs.py`` in its own tree, so that options may be renamed in between. Numbers depend on the
processor and on torch: record both files on one machine.
"""

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
import importlib.util, json, sys
from pathlib import Path
tests = Path(sys.argv[1], "tests")
folder = next(path.parent for path in tests.rglob("test_configs.py"))
sys.path[:0] = [str(tests), str(folder), sys.argv[1]]
import test_configs as t
sizes = {name: t.SIZES.get(name) or t.SIZES[name.partition("/")[0]] for name in t.EXPERIMENTS}
print(json.dumps({name: [*size[0], *t.OWN.get(name, ())] for name, size in sizes.items()}))
"""
Record = dict[str, Any]


def settings(tree: Path) -> dict[str, list[str]]:
    """Each recipe's flags for a small training."""
    done = subprocess.run([sys.executable, "-c", SETTINGS, str(tree)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def record(tree: Path, name: str, flags: list[str]) -> Record:
    """Trains a recipe, predicts, and gives ``{losses: {metric: [[step, value] ...]}, predictions: [row ...]}``."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree), "HF_HUB_OFFLINE": "1"}
        for words in (
            ["fit", "--config", name, *flags, "--trainer.log_every_n_steps=1"],
            ["predict", "--ckpt_path=last"],
        ):
            done = subprocess.run(
                [sys.executable, str(tree / "cli.py"), *words],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            if done.returncode:
                return {"error": done.stderr[-2000:]}
        (run,) = (path.parent for path in Path(folder, "runs").rglob("checkpoints"))
        (predictions,) = run.glob("predict/*/predictions.jsonl")
        rows = [json.loads(line) for line in predictions.read_text(encoding="utf-8").splitlines()]
        return {"losses": curves(run / "metrics.csv"), "predictions": rows}


def curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The metrics of a run's metrics.csv, each as (step, value) in order; seconds left out."""
    found: dict[str, list[tuple[int, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for key, value in row.items():
                if value and key not in ("step", "epoch") and "second" not in key and "memory" not in key:
                    found.setdefault(key, []).append((int(row["step"]), float(value)))
    return found


def difference(before: Any, after: Any) -> float:
    """Largest relative difference of two records' numbers; infinite where anything else differs."""
    if isinstance(before, bool) or isinstance(after, bool) or not isinstance(before, int | float):
        if isinstance(before, dict) and isinstance(after, dict):
            shared = before.keys() & after.keys()
            return max((difference(before[key], after[key]) for key in shared), default=math.inf)
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            return max((difference(*pair) for pair in zip(before, after, strict=True)), default=0.0)
        return 0.0 if before == after else math.inf
    if not isinstance(after, int | float):
        return math.inf
    if before == after or (math.isnan(before) and math.isnan(after)):
        return 0.0
    return abs(before - after) / max(abs(before), abs(after), 1e-12)


def compare(before: dict[str, Record], after: dict[str, Record], renamed: dict[str, str]) -> int:
    """Prints a line for each recipe; the number of those that differ by more than 1e-6."""
    bad = 0
    for old, was in before.items():
        name = renamed.get(old, old)
        now = after.get(name, {"error": "no such recipe"})
        errors = [error for error in (was.get("error"), now.get("error")) if error]
        off = [math.inf] if errors else [difference(was[key], now[key]) for key in ("losses", "predictions")]
        bad += max(off) > 1e-6
        said = errors[-1].strip().splitlines()[-1] if errors else f"losses {off[0]:.1e}  predictions {off[1]:.1e}"
        print(
            f"{name:<28} {'DIFFERS' if max(off) > 1e-6 else 'equal to the bit' if not max(off) else 'equal':<17} {said}"
        )
        if max(off) > 1e-6 and not errors:
            for key in sorted(was["losses"].keys() & now["losses"].keys()):
                if (by := difference(was["losses"][key], now["losses"][key])) > 1e-6:
                    print(f"    {key}: {by:.1e}: {was['losses'][key][:3]} {now['losses'][key][:3]}")
    return bad


def main() -> None:
    """Records or compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("file", type=Path)
    recording.add_argument("--tree", type=Path, default=ROOT, help="the checkout whose recipes run")
    recording.add_argument("--only", default="", help="recipes whose name begins so")
    recording.add_argument("--jobs", type=int, default=2)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW")
    given = parser.parse_args()
    if given.command == "compare":
        files = (json.loads(file.read_text(encoding="utf-8")) for file in (given.before, given.after))
        sys.exit(bool(compare(*files, dict(pair.split("=") for pair in given.renamed))))
    tree = given.tree.resolve()
    small = {name: flags for name, flags in settings(tree).items() if name.startswith(given.only)}
    with ThreadPoolExecutor(given.jobs) as pool:
        results = dict(zip(small, pool.map(lambda item: record(tree, *item), small.items()), strict=True))
    given.file.write_text(json.dumps(results, indent=1), encoding="utf-8")
    failed = [name for name, result in results.items() if "error" in result]
    print(f"{len(results)} recipes in {given.file}", f"failed: {', '.join(failed)}" if failed else "")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
