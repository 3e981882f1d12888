"""What one vector between encoder and decoder costs, by the length of the source.

    python benchmarks/studies/encoding_bottleneck.py --runs dates/GRU=runs/translation/dates/TIME ...

Trains a GRU with attention, the same without, and a Transformer to reverse strings of 1 to 12 letters, and counts how
many strings of each length from 1 to 16 they reverse without a mistake. The GRU without attention reads the encoder's
vector at every step, as in the recipes of dates and of Multi30k. Each net is trained until it has learned the task,
its loss no longer falls, or there were ``--most_steps`` (:func:`train`). A loss that is still high before the decay
means that the training was short, and not that the vector is full. The program prints a markdown table, writes all
numbers to docs/notes/seq2seq/encoding_bottleneck.csv, and draws them to encoding_bottleneck.png there; with
``--draw`` it draws the numbers of that file and trains nothing. Each of ``--runs`` adds a curve to a panel of finished
runs, PANEL/NAME=FOLDER: the newest bleu_by_length.csv in the folder, which ``seqlight test`` has written. The panel
"dates" shows exact match, any other BLEU. Curves of one name in a panel (seeds) are drawn alike.
"""

import argparse
import csv
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datamodules.seq2seq.strings import RandomStrings, StringsDataModule
from seq_modules import Seq2SeqRNN, Seq2SeqTransformer
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.seq2seq import translate
from seqlight.core.labels import EOS
from seqlight.core.plots import new_panels

HERE = Path(__file__).resolve().parents[2] / "docs/notes/seq2seq"
NAMES = ("GRU with attention", "GRU without", "Transformer")
LENGTHS = range(1, 17)  # of the strings that are tested; training ends at LONGEST_TRAINED
LONGEST_TRAINED = 12
WARM_UP, WINDOW, DECAY = 100, 250, 500  # steps: of warm-up, of which the loss is averaged, of the decay to 0
SOLVED = 0.003  # nats a letter
PATIENCE, FALL = 4, 0.9  # the loss falls if it comes to 0.9 times what it was, within so many windows
Curves = Mapping[str, Sequence[tuple[Sequence[float], Sequence[float]]]]  # name -> lengths and scores of each seed


def make(name: str, data: StringsDataModule, hidden_size: int) -> Seq2SeqRNN | Seq2SeqTransformer:
    """The GRU of the recipe translation/strings in another width, with attention or without, or a Transformer."""
    sizes = data.tokenizer.source.vocab_size, data.tokenizer.target.vocab_size
    if name == "Transformer":
        shape: Any = {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "num_heads": 4, "d_ff": 128}
        return Seq2SeqTransformer(*sizes, net=shape | {"dropout": 0.0, "max_seq_len": 64}, label_smoothing=0.0)
    rnn = {"cell": "gru", "hidden_size": hidden_size, "bidirectional": True}
    shape = {"d_model": 64, "dropout": 0.0, "rnn": rnn, "attention": "dot"}
    if name == "GRU without":
        shape |= {"attention": "none", "input_feeding": True}
    return Seq2SeqRNN(*sizes, net=shape, label_smoothing=0.0)


@dataclass
class Training:
    """How a training ended.

    Attributes:
        steps: How many there were.
        losses: Mean loss of every WINDOW steps, in nats a letter.
    """

    steps: int
    losses: list[float]

    def goes_on(self, most_steps: int) -> bool:
        """Whether the loss is to be brought down further before the decay."""
        before, last = self.losses[:-PATIENCE], self.losses[-PATIENCE:]
        falls = len(before) < PATIENCE or min(last) < FALL * min(before)
        return falls and self.losses[-1] > SOLVED and self.steps + DECAY < most_steps


def train(module: Seq2SeqRNN | Seq2SeqTransformer, data: StringsDataModule, most_steps: int, peak: float) -> Training:
    """AdamW on strings that never repeat, at a constant rate until the loss no longer falls; then it decays to 0."""
    optimizer = torch.optim.AdamW(module.parameters(), peak, betas=(0.9, 0.98), weight_decay=0.0)
    done, losses, end = Training(0, []), list[float](), math.inf
    while done.steps < end:
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1, (done.steps + 1) / WARM_UP, (end - done.steps) / DECAY)
        rows = range(done.steps * data.batch_size, (done.steps + 1) * data.batch_size)
        step = module.step(data.train_set.__getitems__(rows))
        loss = step.loss_sum / step.num_targets
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        done.steps += 1
        if done.steps % WINDOW == 0:
            done.losses.append(sum(losses[-WINDOW:]) / WINDOW)
            if end == math.inf and not done.goes_on(most_steps):
                end = done.steps + DECAY
    return done


def exact_matches(module: Seq2SeqRNN | Seq2SeqTransformer, data: StringsDataModule, count: int) -> list[float]:
    """Fraction of the strings of each of LENGTHS that are reversed without a mistake, greedily."""
    found = []
    for length in LENGTHS:
        pairs = RandomStrings("reverse", data.letters, length, length)(data.TEST_SEED, torch.arange(count).numpy())
        encode = data.tokenizer.source.encode
        made = translate(module.net, [[*encode(source), EOS] for source, _ in pairs], Decoding(length + 5))
        right = [best[0].ids == [*encode(target), EOS] for best, (_, target) in zip(made, pairs, strict=True)]
        found.append(sum(right) / count)
    return found


def study(args: argparse.Namespace, path: Path) -> None:
    """Trains all nets with all seeds, prints a table, and writes the numbers, a line per net, seed and length."""
    near_far = f"exact match, 1-{LONGEST_TRAINED} | {LONGEST_TRAINED + 1}-{LENGTHS[-1]}"
    print(f"| net | seed | parameters | steps | loss before the decay | loss at the end | {near_far} | CPU seconds |")
    print("|---" * 9 + "|", flush=True)
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("net", "seed", "length", "exact_match"))
        for seed, name in ((seed, name) for seed in range(args.seeds) for name in NAMES):
            start = time.process_time()
            torch.manual_seed(seed)
            data = StringsDataModule(max_length=LONGEST_TRAINED, batch_size=args.batch_size, seed=seed)
            module = make(name, data, args.hidden_size)
            done = train(module, data, args.most_steps, args.learning_rate)
            scores = exact_matches(module, data, args.strings)
            writer.writerows((name, seed, length, score) for length, score in zip(LENGTHS, scores, strict=True))
            file.flush()
            near, far = scores[:LONGEST_TRAINED], scores[LONGEST_TRAINED:]
            print(
                f"| {name} | {seed} | {sum(p.numel() for p in module.parameters()):,} | {done.steps:,} | "
                f"{done.losses[-1 - DECAY // WINDOW]:.4f} | {done.losses[-1]:.4f} | "
                f"{100 * sum(near) / len(near):.1f} % | {100 * sum(far) / len(far):.1f} % | "
                f"{time.process_time() - start:.0f} |",
                flush=True,
            )


def curves_of_strings(path: Path) -> Curves:
    """The curves that :func:`study` has written, in percent."""
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            lengths, scores = found.setdefault((row["net"], row["seed"]), ([], []))
            lengths.append(float(row["length"]))
            scores.append(100 * float(row["exact_match"]))
    names = dict.fromkeys(name for name, _ in found)
    return {name: [curve for (own, _), curve in found.items() if own == name] for name in names}


def curve_of_run(folder: Path, score: str) -> tuple[list[float], list[float]]:
    """Middles of the ranges of source lengths, and their scores, in the newest ``bleu_by_length.csv`` of a run."""
    paths = sorted(folder.rglob("bleu_by_length.csv"), key=lambda path: path.stat().st_mtime)
    if not paths:
        raise SystemExit(f"--runs: {folder} has no bleu_by_length.csv; run seqlight test first")
    with paths[-1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    factor = 100 if score == "exact_match" else 1
    return [(int(row["first"]) + int(row["last"])) / 2 for row in rows], [factor * float(row[score]) for row in rows]


def draw(panels: Mapping[str, Curves], path: Path) -> None:
    """A panel of curves for each task, one colour a name."""
    figure, axes = new_panels(len(panels), columns=3, width=4.4, height=3.4)
    colours: dict[str, str] = {}
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        for name, seeds in curves.items():
            colour = colours.setdefault(name, f"C{len(colours)}")
            for number, (lengths, scores) in enumerate(seeds):
                axis.plot(lengths, scores, color=colour, marker="o", markersize=2.5, label=None if number else name)
        of_strings = title == "strings to reverse"
        if of_strings:
            axis.axvline(LONGEST_TRAINED + 0.5, color="0.5", linestyle="--")
        exact = of_strings or title.startswith("dates")
        axis.set(
            title=title, xlabel="letters of the source" if of_strings else "tokens of the source",
            ylabel="exact match, %" if exact else "BLEU", ylim=(-3, 103) if exact else (0, None), xlim=(0, None),
        )  # fmt: skip
        axis.legend(loc="best", fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    print(path)


def main() -> None:
    """Trains, if it is to, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="*", default=[], metavar="PANEL/NAME=FOLDER")
    parser.add_argument("--draw", action="store_true", help="Draw the numbers that are there; train nothing.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden_size", type=int, default=64, help="Of the GRUs: numbers of the vector.")
    parser.add_argument("--most_steps", type=int, default=6000, help="End a training whose loss still falls.")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--learning_rate", type=float, default=0.003)
    parser.add_argument("--strings", type=int, default=200, help="Strings of each length.")
    parser.add_argument("--folder", type=Path, default=HERE, help="Where the numbers and the picture lie.")
    args = parser.parse_args()
    torch.set_num_threads(1)
    panels: dict[str, dict[str, Any]] = {}
    for run in args.runs:
        name, equals, folder = run.partition("=")
        panel, slash, curve = name.partition("/")
        if not (equals and slash):
            parser.error(f"--runs {run} is not PANEL/NAME=FOLDER")
        score = "exact_match" if panel == "dates" else "bleu"
        panels.setdefault(panel, {}).setdefault(curve, []).append(curve_of_run(Path(folder), score))
    path = args.folder / "encoding_bottleneck.csv"
    if not args.draw:
        study(args, path)
    draw({"strings to reverse": curves_of_strings(path)} | panels, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
