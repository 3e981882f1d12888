"""First steps of a recipe in each precision, on this processor or on what is left of it with older instructions.

    python benchmarks/speed/precisions.py
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/speed/precisions.py --steps 12 12 2

Each run is a `seqlight fit` in a process of its own, without validation; its steps are timed by Lightning's profiler,
so that neither imports nor compilation count. The precisions take turns; the table has medians over the rounds, and
the smallest and largest ratio to 32-true of the same round. The last line is the machine (benchmarks/speed/machine.py).
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from seqlight.core import hardware

ROOT = Path(__file__).parents[2]
PRECISIONS = ("32-true", "auto", "bf16-mixed")
STEPS = re.compile(r"\|\s+run_training_batch\s+\|\s+([\d.e+-]+)\s+\|\s+(\d+)")  # mean seconds, and how many


def run(recipe: str, precision: str, steps: int) -> tuple[float, str]:
    """Mean seconds of a step, and the precision that was used."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(ROOT / "cli.py"), "fit", "--config", recipe, f"--trainer.precision={precision}"]
        words += [f"--trainer.max_steps={steps}", "--trainer.limit_val_batches=0", "--trainer.profiler=simple"]
        words += ["--trainer.max_time=null", "--trainer.enable_progress_bar=false"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    found = STEPS.search(done.stdout + done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{recipe} in {precision} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    used = re.search(r"^precision: (\S+) \(", done.stdout, re.MULTILINE)
    return float(found[1]), used[1] if used else precision


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="text/speedrun")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs=3, default=(30, 30, 30), help=f"of {', '.join(PRECISIONS)}")
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    used = {}
    for _ in range(args.rounds):
        for precision, steps in zip(PRECISIONS, args.steps, strict=True):
            mean, used[precision] = run(args.recipe, precision, steps)
            seconds[precision].append(mean)
    print("| --trainer.precision | used | steps a round | steps/s | speed, 32-true = 1 |\n|---|---|---:|---:|---|")
    for precision, steps in zip(PRECISIONS, args.steps, strict=True):
        ratios = [base / own for base, own in zip(seconds["32-true"], seconds[precision], strict=True)]
        speed = f"{statistics.median(ratios):.2g} ({min(ratios):.2g} to {max(ratios):.2g})"
        rate = f"{1 / statistics.median(seconds[precision]):.2g}"
        print(f"| {precision} | {used[precision]} | {steps} | {rate} | {speed} |")
    print(f"\n{args.rounds} rounds; {hardware.describe()}")


if __name__ == "__main__":
    main()
