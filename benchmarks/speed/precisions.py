"""Times the first steps of a recipe in each precision, on this processor, or limited to older instructions.

    python benchmarks/speed/precisions.py
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/speed/precisions.py --steps 12 12 2

Each run is a `seqlight fit` in a process of its own, without validation. Lightning's profiler times its steps, so
neither imports nor compilation count. The precisions alternate. timing.py says what the table has. The last line
describes the machine (benchmarks/speed/machine.py).
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import median, speed

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
    used: dict[str, str] = {}
    rounds: list[dict[str, float]] = [{} for _ in range(args.rounds)]
    for taken in rounds:
        for precision, steps in zip(PRECISIONS, args.steps, strict=True):
            taken[precision], used[precision] = run(args.recipe, precision, steps)
    print("| --trainer.precision | used | steps a round | steps/s | speed, 32-true = 1 |\n|---|---|---:|---:|---|")
    for precision, steps in zip(PRECISIONS, args.steps, strict=True):
        ratio = speed(rounds, precision, PRECISIONS[0], ".2g")
        print(f"| {precision} | {used[precision]} | {steps} | {1 / median(rounds, precision):.2g} | {ratio} |")
    print(f"\n{args.rounds} rounds; {hardware.describe()}")


if __name__ == "__main__":
    main()
