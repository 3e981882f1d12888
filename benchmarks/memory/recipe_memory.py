"""Peak memory of each recipe: its first steps and its validation, as a process of its own.

    python benchmarks/memory/recipe_memory.py [RECIPE ...] [--steps 3] [--val_batches 20] [--encoder FOLDER]

Each recipe runs with its own batch size and net, on its built-in data. Printed is the largest resident memory of the
process, and its CPU seconds. Recipes that load a pretrained encoder need its folder.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRETRAINED = ("questions/bert", "reviews/bert", "tagging/ewt_bert")


def recipes(encoder: str | None) -> list[str]:
    """Names of all recipes; without the folder of an encoder, of those that run without files."""
    folders = (path for path in (ROOT / "configs").iterdir() if path.name not in ("trainer", "logger", "sweeps"))
    names = sorted(f"{file.parent.name}/{file.stem}" for folder in folders for file in folder.glob("*.yaml"))
    return [name for name in names if encoder or name not in PRETRAINED]


def measure(recipe: str, steps: int, val_batches: int, encoder: str | None) -> tuple[int, float, float]:
    """Exit code, peak resident memory in MB and CPU seconds of one recipe's run."""
    limits = [f"--trainer.max_steps={steps}", f"--trainer.limit_val_batches={val_batches}"]
    quiet = ["--trainer.max_epochs=-1", "--trainer.enable_progress_bar=false", "--trainer.logger=false"]
    if recipe in PRETRAINED and encoder:
        limits += [f"--model.net.pretrained={encoder}", f"--data.tokenizer_path={encoder}"]
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, str(ROOT / "cli.py"), "fit", f"--config={recipe}", *limits, *quiet]
        with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--val_batches", type=int, default=20)
    parser.add_argument(
        "--encoder", type=os.path.abspath, help="folder of a pretrained encoder that transformers loads"
    )
    args = parser.parse_args()
    print("| recipe | peak MB | CPU seconds |\n|---|---:|---:|", flush=True)
    for recipe in args.recipes or recipes(args.encoder):
        code, peak, seconds = measure(recipe, args.steps, args.val_batches, args.encoder)
        print(f"| {recipe} | {f'{peak:.0f}' if code == 0 else f'exit code {code}'} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
