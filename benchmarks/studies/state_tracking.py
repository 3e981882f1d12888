"""Which linear recurrences can follow an automaton: parity and counting modulo 3 by the eigenvalues of the cell.

    python benchmarks/studies/state_tracking.py --seeds 3 --steps 600

One layer of each cell and a linear head learn with an answer after every symbol on strings of lengths 1 to 40, and are
judged by the last answer on fresh strings of given lengths. A line per training; then, per cell, the worst, the median
and the best seed. Grazzi et al. (2025, arXiv 2411.12537) prove what cannot be: eigenvalues that are all non-negative
cannot do parity, and real ones cannot count modulo 3, at every length and in finite precision. Time is that of the
process on one thread, so that other programs on the machine do not count.
"""

import argparse
import statistics
import time
from typing import Any

import torch

from datamodules import FormalLanguageDataModule
from seq_modules import FormalLanguageModule
from seq_modules.training.metrics.steps import is_right, judged

#: Task, cell, options of the linear cell.
SETTINGS: list[tuple[Any, Any, dict[str, Any]]] = [
    ("parity", "mingru", {"negative_eigenvalues": False}),
    ("parity", "mingru", {"negative_eigenvalues": True}),
    ("parity", "diagonal", {"negative_eigenvalues": False}),
    ("parity", "diagonal", {"negative_eigenvalues": True}),
    ("count_modulo_3", "mingru", {"negative_eigenvalues": True}),
    ("count_modulo_3", "diagonal", {"negative_eigenvalues": True}),
    ("count_modulo_3", "deltanet", {"negative_eigenvalues": True, "num_householder": 2}),
]


def train(data: FormalLanguageDataModule, module: FormalLanguageModule, args: argparse.Namespace) -> None:
    """AdamW with clipped gradients, on rows that never repeat."""
    optimizer = torch.optim.AdamW(module.parameters(), args.learning_rate, weight_decay=0.0)
    for number in range(args.steps):
        rows = range(number * data.batch_size, (number + 1) * data.batch_size)
        step = module.step(data.train_set.__getitems__(rows))
        optimizer.zero_grad()
        (step.loss_sum / step.num_targets).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()


@torch.inference_mode()
def accuracy(data: FormalLanguageDataModule, module: FormalLanguageModule, length: int, count: int) -> float:
    """Of the last answer on fresh strings of a length."""
    batch = data.sequences(length, count)
    counted = judged(batch["labels"], "last")
    return is_right(module(batch["input_ids"])[0], batch["labels"])[counted].float().mean().item()


def main() -> None:
    """Trains all settings with all seeds and prints markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--hidden_size", type=int, default=32)
    parser.add_argument("--num_heads", type=int, default=1, help="Heads of deltanet.")
    parser.add_argument("--learning_rate", type=float, default=0.01)
    parser.add_argument("--lengths", type=int, nargs="+", default=[40, 100, 500])
    parser.add_argument("--strings", type=int, default=256, help="Strings of each length.")
    parser.add_argument("--cells", nargs="+", default=sorted({cell for _, cell, _ in SETTINGS}))
    parser.add_argument("--tasks", nargs="+", default=sorted({task for task, _, _ in SETTINGS}))
    args = parser.parse_args()
    torch.set_num_threads(1)
    lengths = [f"length {length}" for length in args.lengths]
    summary = [f"| task | cell | eigenvalues | {' | '.join(lengths)} |", "|---" * (3 + len(lengths)) + "|"]
    print(f"| task | cell | eigenvalues | seed | loss at the end | {' | '.join(lengths)} | CPU seconds |", flush=True)
    print("|---" * (6 + len(lengths)) + "|", flush=True)
    for task, cell, linear in SETTINGS:
        if task not in args.tasks or cell not in args.cells:
            continue
        name = f"{task} | {cell} | {'[-1, 1]' if linear['negative_eigenvalues'] else '[0, 1]'}"
        scores = []
        for seed in range(args.seeds):
            start = time.process_time()
            torch.manual_seed(seed)
            data = FormalLanguageDataModule(task, batch_size=64, seed=seed)
            options = linear | {"num_heads": args.num_heads}
            net: Any = {"rnn": {"cell": cell, "hidden_size": args.hidden_size, "linear": options}}
            module = FormalLanguageModule(data.vocab_size, data.num_classes, net, supervision="full")
            train(data, module, args)
            loss = module.eval().step(data.val_set.__getitems__(range(256)))
            scores.append([accuracy(data, module, length, args.strings) for length in args.lengths])
            cells = " | ".join(f"{score:.3f}" for score in scores[-1])
            spent = time.process_time() - start
            mean = (loss.loss_sum / loss.num_targets).item()
            print(f"| {name} | {seed} | {mean:.4f} | {cells} | {spent:.0f} |", flush=True)
        spreads = [f"{min(s):.3f} / {statistics.median(s):.3f} / {max(s):.3f}" for s in zip(*scores, strict=True)]
        summary.append(f"| {name} | {' | '.join(spreads)} |")
    print(f"\nWorst / median / best of {args.seeds} seeds, {args.steps} steps:\n")
    print("\n".join(summary))


if __name__ == "__main__":
    main()
