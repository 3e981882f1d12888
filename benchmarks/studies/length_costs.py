"""Time and memory of one layer by the length of its sequence: recurrent nets beside attention, forward and backward.

    python benchmarks/studies/length_costs.py

Each layer has the same width and reads the same numbers. Each measurement is a process of its own, forked from one that
has only loaded the program, and makes a short pass first. Memory is the process's peak above that of the short pass, in
its first long one. Time is the least of several further passes, of the process itself on one thread, so that other
programs on the machine count little. A table is printed, and the picture goes to docs/lessons/attention/.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.attention import Attention
from seqlight.core.plots import new_figure, use_log_scale

HEADS = 4
SHORT = 8  # steps of the pass that loads what every pass needs


class Cost(NamedTuple):
    """What one pass costs: seconds forward and backward, and peak memory in MB."""

    forward: float
    backward: float
    memory: float


def recurrent(cell: Any, width: int) -> nn.Module:
    """A recurrent layer on its quickest engine."""
    return build_recurrent(width, RecurrentConfig(cell, width))


def attention(kind: Any, width: int) -> nn.Module:
    """Causal self-attention."""
    return Attention(width, HEADS, bias=True, qk_norm=False, kind=kind)


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "LSTM": partial(recurrent, "lstm"),
    "GRU": partial(recurrent, "gru"),
    "minGRU, scan": partial(recurrent, "mingru"),
    "attention, sdpa": partial(attention, "sdpa"),
    "attention, eager": partial(attention, "eager"),
}


def passes(layer: nn.Module, x: Tensor, ahead: Tensor) -> tuple[float, float]:
    """CPU seconds of one pass forward and one backward."""
    start = time.process_time()
    y = layer(x)
    y = y[0] if isinstance(y, tuple) else y
    middle = time.process_time()
    y.backward(ahead)
    return middle - start, time.process_time() - middle


def measure(name: str, length: int, args: argparse.Namespace) -> Cost:
    """One layer at one length, in the process that calls."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = LAYERS[name](args.width)
    x, ahead = (torch.randn(args.batch_size, length, args.width) for _ in range(2))
    x.requires_grad_()
    passes(layer, x[:, :SHORT], ahead[:, :SHORT])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    passes(layer, x, ahead)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    forward, backward = zip(*(passes(layer, x, ahead) for _ in range(args.passes)), strict=True)
    return Cost(min(forward), min(backward), memory)


def draw(lengths: Sequence[int], costs: dict[str, list[Cost]], path: Path) -> None:
    """Three panels with a line for each layer, both axes logarithmic."""
    figure, axes = new_figure(3, width=4.4, height=4.0)
    titles = {"forward": "forward, ms", "backward": "backward, ms", "memory": "peak memory, MB"}
    for axis, (field, title) in zip(axes, titles.items(), strict=True):
        for name, found in costs.items():
            values = [getattr(cost, field) * (1 if field == "memory" else 1000) for cost in found]
            axis.plot(lengths, values, marker="o", markersize=3, label=name)
        axis.set(xscale="log", xlabel="length", title=title)
        use_log_scale(axis)
        axis.set_xticks(lengths, [str(length) for length in lengths], fontsize=8)
        axis.set_xticks([], minor=True)
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measures, prints markdown tables, and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048, 4096])
    parser.add_argument("--layers", nargs="+", choices=list(LAYERS), default=list(LAYERS))
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--passes", type=int, default=3, help="That are timed.")
    parser.add_argument("--output", type=Path, default=Path("docs/lessons/attention/costs.png"))
    args = parser.parse_args()
    costs: dict[str, list[Cost]] = {}
    context = multiprocessing.get_context("fork")
    for name in args.layers:
        for length in args.lengths:
            with context.Pool(1) as process:
                costs.setdefault(name, []).append(process.apply(measure, (name, length, args)))
    print(f"torch {torch.__version__}, float32, one thread, CPU time, B {args.batch_size}, width {args.width}")
    for title, cell in (
        ("ms, forward + backward", lambda cost: f"{1000 * cost.forward:.1f} + {1000 * cost.backward:.1f}"),
        ("peak MB", lambda cost: f"{cost.memory:.1f}"),
    ):
        print(f"\n| {title} | {' | '.join(map(str, args.lengths))} |\n|---{'|---:' * len(args.lengths)}|")
        for name, found in costs.items():
            print(f"| {name} | {' | '.join(map(cell, found))} |")
    draw(args.lengths, costs, args.output)


if __name__ == "__main__":
    main()
