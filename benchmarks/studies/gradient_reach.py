"""How far the gradient reaches in seven recurrent nets, and which of them learn to recall the first of T symbols.

    python benchmarks/studies/gradient_reach.py

The nets are those of the sweeps gradients/length_*, which are trained first (they go on where they were stopped). The
reach of a measurement is the norm of dLoss/dh_t at t = 1 divided by that at t = T; for an LSTM by its cell c, whose
path back the forget gate alone multiplies. A net vanishes where the reach is below 1e-3 at the first training step, and
explodes where it is above 1e3 at some measurement. A table in markdown is printed, the rows of all trainings and a
picture go to docs/results/formal/.
"""

import argparse
import csv
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import yaml
from sweep_trials import train

from seqlight.core.plots import new_figure, use_log_scale

LENGTHS = (10, 50, 200, 500)
VANISHED, EXPLODED = 1e-3, 1e3
SMALLEST = 1e-45  # about the smallest number above 0 in float32; the picture has what became 0 there


class Training(NamedTuple):
    """One training of the sweeps.

    Attributes:
        net: Its name in the table.
        clipped: Whether gradients were clipped.
        length: T.
        seed: Of the training.
        accuracy: Share of the validation's strings that are answered rightly by the last checkpoint's net.
        solved: Optimiser steps to 100 % in validation; NaN for never.
        first: Reach at the first training step.
        largest: Largest reach of all measurements; infinity where a norm was not a number.
        radius: Largest spectral radius of a block of the recurrent weights, at the last measurement.
    """

    net: str
    clipped: bool
    length: int
    seed: int
    accuracy: float
    solved: float
    first: float
    largest: float
    radius: float


def name_of(setting: str) -> str:
    """What a net is called, by its settings as the sweep's table holds them."""
    net = yaml.safe_load(setting)
    if net["cell"] != "rnn":
        bias = f", forget bias {net['forget_bias']:g}" if "forget_bias" in net else ""
        return f"{net['cell'].upper()}{bias}"
    start = net.get("recurrent_init", "uniform")
    return f"{net.get('nonlinearity', 'tanh').replace('relu', 'ReLU')}, {start} start"


def reaches(run: Path) -> list[float]:
    """The reach at each measurement of a run."""
    norms: dict[int, list[tuple[int, float]]] = defaultdict(list)
    with (run / "gradient_flow.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    layers = {row["layer"] for row in rows}
    cells = {layer for layer in layers if layer.endswith(".c")} or layers
    for row in rows:
        if row["layer"] in cells:
            norms[int(row["step"])].append((int(row["t"]), float(row["norm"])))
    return [ratio(min(values)[1], max(values)[1]) for _, values in sorted(norms.items())]


def ratio(first: float, last: float) -> float:
    """The reach; infinity where a norm overflowed, or where none is left to divide by."""
    if not (math.isfinite(first) and math.isfinite(last)) or last == 0:
        return math.inf
    return first / last


def last_radius(run: Path) -> float:
    """The largest spectral radius at the last measurement."""
    with (run / "spectral_radius.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return max(float(row["radius"]) for row in rows if row["step"] == rows[-1]["step"])


def training_of(trial: dict[str, str], length: int) -> Training:
    """One row of a sweep's trials.csv."""
    run = Path(trial["run"])
    found = reaches(run)
    return Training(
        net=name_of(trial["model.net.rnn"]),
        clipped=trial["trainer.gradient_clip_val"] not in ("", "null", "None"),
        length=length,
        seed=int(trial["seed_everything"]),
        accuracy=float(trial["val/accuracy_last"] or math.nan),
        solved=float(trial.get("solved/steps") or math.nan),
        first=found[0],
        largest=max(found),
        radius=last_radius(run),
    )


def three(values: list[float]) -> str:
    """Smallest, median and largest of values; a dash where there are none. What would round to 100 has a decimal."""
    spread = [f(values) for f in (min, statistics.median, max)] if values else []
    return " / ".join(f"{x:.1f}" if 99.5 <= x < 100 else f"{x:.0f}" for x in spread) or "-"


def print_table(trainings: list[Training], lengths: list[int]) -> None:
    """A row for each net and length: the reach, what it says, and how many seeds learn the task."""
    print(
        "| net | T | reach at the first step | largest reach in training | vanishes / explodes "
        "| not clipped: solved; recalled | clipped: solved; recalled | steps to 100 % |"
    )
    print("|---" * 8 + "|")
    for net in dict.fromkeys(training.net for training in trainings):
        for length in lengths:
            group = [training for training in trainings if (training.net, training.length) == (net, length)]
            if not group:
                continue
            vanished = sum(training.first < VANISHED for training in group)
            exploded = sum(training.largest > EXPLODED for training in group)
            free, clipped = (learned([row for row in group if row.clipped is wanted]) for wanted in (False, True))
            print(
                f"| {net} | {length} | {statistics.median(training.first for training in group):.0e} "
                f"| {statistics.median(training.largest for training in group):.0e} "
                f"| {vanished} / {exploded} of {len(group)} | {free} | {clipped} | {three(steps_of(group))} |"
            )


def learned(group: list[Training]) -> str:
    """How many trainings solved the task, and what share of the first symbols is recalled in the end, in per cent."""
    return f"{len(steps_of(group))} of {len(group)}; {three([100 * training.accuracy for training in group])}"


def steps_of(group: list[Training]) -> list[float]:
    """Steps of the trainings that solved the task."""
    return [training.solved for training in group if not math.isnan(training.solved)]


def draw(trainings: list[Training], path: Path) -> None:
    """Left the reach at the first step by length, right the accuracy after training; a line for each net."""
    figure, (reach, accuracy) = new_figure(2, width=5.5, height=4.0)
    for net in dict.fromkeys(training.net for training in trainings):
        groups: dict[int, list[Training]] = defaultdict(list)
        for training in trainings:
            if training.net == net:
                groups[training.length].append(training)
        at = sorted(groups)
        firsts = [max(SMALLEST, statistics.median(training.first for training in groups[length])) for length in at]
        reach.plot(at, firsts, marker="o", label=net)
        accuracy.plot(
            at, [100 * statistics.mean(training.accuracy for training in groups[length]) for length in at], marker="o"
        )
    use_log_scale(reach)
    reach.axhline(1, color="grey", linestyle=":")
    reach.set(xscale="log", xlabel="T", ylabel="reach at the first training step")
    accuracy.axhline(25, color="grey", linestyle=":", label="chance")
    accuracy.set(xscale="log", xlabel="T", ylabel="first symbol recalled, per cent", ylim=(0, 104))
    for axis in (reach, accuracy):
        axis.set_xticks(sorted({training.length for training in trainings}), minor=False)
        axis.set_xticklabels([str(length) for length in sorted({training.length for training in trainings})])
        axis.minorticks_off()
    reach.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Trains what is missing, prints the table, writes the rows and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="Sweeps gradients/length_<T>.")
    parser.add_argument("--output", type=Path, default=Path("docs/results/formal"))
    args = parser.parse_args()
    trainings = [
        training_of(trial, length) for length in args.lengths for trial in train(f"sweeps/gradients/length_{length}")
    ]
    print_table(trainings, args.lengths)
    draw(trainings, args.output / "gradients.png")
    trials = args.output / "trials" / "gradients.csv"
    trials.parent.mkdir(parents=True, exist_ok=True)
    with trials.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([Training._fields, *trainings])


if __name__ == "__main__":
    main()
