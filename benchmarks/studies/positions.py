"""Positions of a GPT beyond the length that it was trained with: the loss at each position, for four kinds.

    python benchmarks/studies/positions.py

The nets are those of a sweep, which is trained first (it goes on where it was stopped). Each reads windows of the
validation text that are several times as long as those it was trained with; the same windows for all. Learned positions
have no vector beyond the trained length, so such a net reads windows of that length alone. Printed is the mean loss by
groups of positions, in nats per character; the rows and a picture go to docs/results/language/.
"""

import argparse
import csv
import statistics
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from sweep_trials import train
from torch import Tensor

import seqlight
from datamodules import CorpusDataModule
from datamodules.text.corpus import WindowConfig
from seq_modules import GPTLanguageModel
from seq_modules.nets.transformer.gpt import GPT
from seqlight.core.plots import new_figure

TRAINED = "trained length"
SMOOTH = 16  # positions that one point of the picture is the mean of


def lengthened(net: GPT, length: int) -> GPT:
    """The net with a longer context; as it is where its positions are learned."""
    if net.config.positions == "learned":
        return net
    longer = GPT(net.token_embedding.num_embeddings, replace(net.config, max_seq_len=length))
    longer.load_state_dict(net.state_dict())
    return longer.eval()


@torch.inference_mode()
def losses(net: GPT, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean loss at each position that the net can read, of ids and labels (B, T)."""
    steps = min(net.max_seq_len, ids.shape[1])
    rows = zip(ids[:, :steps].split(8), labels[:, :steps].split(8), strict=True)
    found = [F.cross_entropy(net(part).mT, wanted, reduction="none") for part, wanted in rows]
    return torch.cat(found).mean(0)


def groups(trained: int, longest: int) -> list[tuple[int, int]]:
    """Positions (from 1 on, both ends included) that a column of the table is the mean of."""
    found, end = [(1, trained), (trained // 2 + 1, trained)], trained
    while end < longest:
        found.append((end + 1, min(2 * end, longest)))
        end *= 2
    return found


def draw(curves: dict[str, list[Tensor]], trained: int, path: Path) -> None:
    """A line for each kind, the mean of its seeds, with the range of the seeds."""
    figure, (axis,) = new_figure(width=7.5, height=4.2)
    for kind, seeds in curves.items():
        points = torch.stack(seeds).unflatten(1, (-1, SMOOTH)).mean(2)  # (seeds, T / SMOOTH)
        at = SMOOTH * torch.arange(points.shape[1]) + SMOOTH / 2
        (line,) = axis.plot(at, points.mean(0), label=kind)
        axis.fill_between(at, points.amin(0), points.amax(0), color=line.get_color(), alpha=0.2, linewidth=0)
    axis.axvline(trained, color="grey", linestyle=":", label=TRAINED)
    axis.set(xlabel="position in the window", ylabel="loss (nats per character)")
    axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Trains, measures, prints a markdown table, writes the rows and draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", default="sweeps/text/positions")
    parser.add_argument("--longest", type=int, default=512, help="Characters of a window that is read.")
    parser.add_argument("--windows", type=int, default=128)
    parser.add_argument("--output", type=Path, default=Path("docs/results/language"))
    args = parser.parse_args()
    trials = train(args.sweep)
    data = CorpusDataModule(seq_len=args.longest, windows=WindowConfig(eval_size=args.windows))
    data.setup("validate")
    batch = data.val_set.__getitems__(range(args.windows))
    curves: dict[str, list[Tensor]] = {}
    trained = 0
    for trial in trials:
        module = seqlight.load(trial["run"])
        assert isinstance(module, GPTLanguageModel)
        assert isinstance(module.net, GPT)
        trained = module.net.max_seq_len
        found = losses(lengthened(module.net, args.longest), batch["input_ids"], batch["labels"])
        curves.setdefault(module.net.config.positions, []).append(found)
    columns = groups(trained, args.longest)
    print(f"| positions | {' | '.join(f'{first} to {last}' for first, last in columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    rows = []
    for kind, seeds in curves.items():
        cells = []
        for first, last in columns:
            values = [seed[first - 1 : last].mean().item() for seed in seeds if len(seed) >= last]
            rows += [(kind, seed, first, last, f"{value:.4f}") for seed, value in enumerate(values)]
            spread = f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "none"
            cells.append(spread)
        print(f"| {kind} | {' | '.join(cells)} |")
    draw(curves, trained, args.output / "positions.png")
    with (args.output / "positions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("positions", "seed", "first", "last", "loss"), *rows])


if __name__ == "__main__":
    main()
