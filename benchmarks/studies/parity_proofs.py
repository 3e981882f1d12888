"""Which trained parity nets are right at every length, and which string shows that another is not?

    python benchmarks/studies/parity_proofs.py                                  # trains what is missing, then proves
    python benchmarks/studies/parity_proofs.py --sweep sweeps/parity/provable --checkpoint last --output provable.csv
    python benchmarks/studies/parity_proofs.py --activations                    # error of float32 tanh and sigmoid

The nets are those of a sweep, which is trained first (it goes on where it was stopped). Each is proved by its best
checkpoint, of the lowest loss in validation, or by its last one, as ``seqlight prove`` does it. Seconds are of CPU
time.
"""

import argparse
import csv
import statistics
from pathlib import Path

import numpy as np
import torch
from sweep_trials import train

import seqlight
from seq_modules.verification.counterexample import by_runs
from seq_modules.verification.parity import prove
from seq_modules.verification.rounding import ACTIVATION_ERROR


def prove_all(trials: list[dict[str, str]], checkpoint: str, output: Path) -> None:
    """Proves the best or the last net of each trial, writes the rows, and prints a table by recipe."""
    rows = []
    for trial in trials:
        outcome = prove(seqlight.load(Path(trial["run"]) / f"checkpoints/{checkpoint}.ckpt"))  # type: ignore[arg-type]
        rows.append(
            {
                "config": trial["config"],
                "seed": trial["seed_everything"],
                "checkpoint": checkpoint,
                "verdict": outcome.verdict,
                "sets": "" if outcome.certificate is None else len(outcome.certificate.odd),
                "seconds": f"{outcome.seconds:.2f}",
                "counterexample": by_runs(outcome.counterexample or ""),
                "reason": outcome.reason or "",
            }
        )
        print(f"{trial['config']} {trial['seed_everything']}: {outcome}", flush=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print("\n| recipe | nets | proved | refuted | open | seconds to prove, min / median / max |")
    print("|---|---|---|---|---|---|")
    for config in dict.fromkeys(row["config"] for row in rows):
        own = [row for row in rows if row["config"] == config]
        counts = [sum(row["verdict"] == verdict for row in own) for verdict in ("proved", "refuted", "open")]
        seconds = [float(row["seconds"]) for row in own if row["verdict"] == "proved"]
        spread = f"{min(seconds):.2f} / {statistics.median(seconds):.2f} / {max(seconds):.2f}" if seconds else "-"
        print(f"| {config} | {len(own)} | {' | '.join(map(str, counts))} | {spread} |")


def activation_errors(every: int, chunk: int = 2**22) -> None:
    """The largest error of torch's float32 tanh and sigmoid over float32 numbers, against NumPy's float64.

    Args:
        every: Distance of two bit patterns that are tried; 1 tries all numbers.
        chunk: Numbers at a time.
    """
    largest = {"tanh": 0.0, "sigmoid": 0.0}
    for start in range(0, 2**32, chunk * every):
        patterns = np.arange(start, min(start + chunk * every, 2**32), every, dtype=np.uint32)
        x = patterns.view(np.float32)
        x = x[np.isfinite(x)]
        wide = x.astype(np.float64)
        with np.errstate(over="ignore"):
            exact = {"tanh": np.tanh(wide), "sigmoid": 0.5 + 0.5 * np.tanh(0.5 * wide)}
        for name, expected in exact.items():
            got = getattr(torch, name)(torch.from_numpy(x)).double().numpy()
            largest[name] = max(largest[name], float(np.abs(got - expected).max(initial=0)))
    for name, error in largest.items():
        print(f"{name}: {error:.3e} (assumed: {ACTIVATION_ERROR:.3e})")


def main() -> None:
    """Trains and proves."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sweep", default="sweeps/parity/proofs")
    parser.add_argument("--output", type=Path, default=Path("docs/results/parity/proofs/nets.csv"))
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best")
    parser.add_argument("--activations", action="store_true", help="measure the error of tanh and sigmoid instead")
    parser.add_argument("--every", type=int, default=1, help="which of the 2^32 numbers that measurement tries")
    args = parser.parse_args()
    if args.activations:
        activation_errors(args.every)
    else:
        prove_all(train(args.sweep), args.checkpoint, args.output)


if __name__ == "__main__":
    main()
