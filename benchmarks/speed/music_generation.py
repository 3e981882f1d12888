"""Speed of composing with a cache, beside reading all notes again for each.

    python benchmarks/speed/music_generation.py

The Transformer of configs/music/transformer.yaml, with the tokens of the built-in etudes and the weights it begins
with, composes 512 notes from nothing, one piece at a time, at temperature 1. Both ways run in one process, one after
the other in every round, so that a slow moment of the machine meets both; each has a short run before the first round
that does not count, and both must give the same notes. Two contexts are measured: the config's own, in which the
blocks look at a window of the last notes (a model with retrieval reads the whole piece again all the same, window by
window), and one that holds the whole piece. The table has the median of the rounds, and the smallest and largest.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from datamodules import MidiDataModule
from seq_modules import TransformerMusicDecoder
from seq_modules.generation.decoding_config import Decoding

CONFIG = Path(__file__).parents[2] / "configs/music/transformer.yaml"
WAYS = {"cached": True, "read again": False}
CHECKED = 32  # notes that both ways must give alike before anything is measured


def composer(voices: str, context: int | None, plain: bool = False) -> TransformerMusicDecoder:
    """The config's model, with its own context (None) or another; plain: one net without intervals and retrieval."""
    settings = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["model"]["init_args"]
    data = MidiDataModule(tokens={"voices": voices}, seed=0)  # type: ignore[arg-type]
    torch.manual_seed(0)
    net = {"positions": "rotary", "tie_weights": False, **settings["net"]}
    if context is not None:
        net["max_seq_len"] = context
    features = {"notes": {}, "ensemble_size": 1} if plain else {}
    settings |= {**features, "net": net, "pitch_ids": data.pitch_ids, "ticks": data.ticks}
    module = TransformerMusicDecoder(data.vocab_sizes, generation={"stop_at_end": False}, **settings).eval()
    module.tokenizer = data.tokenizer
    return module


def seconds(module: TransformerMusicDecoder, notes: int, cached: bool) -> tuple[float, np.ndarray]:
    """Seconds of one piece, and its events, of which there are as many as requested."""
    start = time.perf_counter()
    (events,) = module.sample(1, Decoding(notes, temperature=1.0), cached=cached)
    duration = time.perf_counter() - start
    assert len(events) == notes
    return duration, events


def rows(module: TransformerMusicDecoder, notes: int, rounds: int) -> list[str]:
    """The table's rows for one model."""
    check = [seconds(module, min(notes, CHECKED), cached)[1] for cached in WAYS.values()]
    assert np.array_equal(*check), "the cached loop gives other notes than reading them again"
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, cached in WAYS.items():
            times[name].append(seconds(module, notes, cached)[0])
    ratios = [slow / quick for quick, slow in zip(*times.values(), strict=True)]
    context = module.net.max_seq_len
    return [
        f"| {context} | {name} | {spread(times[name], 3)} | {notes / statistics.median(times[name]):,.0f} | "
        f"{spread(ratios, 2) if cached else '1'} |"
        for name, cached in WAYS.items()
    ]


def spread(values: Sequence[float], places: int) -> str:
    """Median, smallest and largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{places}f} ({low:.{places}f} to {high:.{places}f})"


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=512)
    parser.add_argument("--voices", choices=["top", "all"], default="top")
    parser.add_argument("--plain", action="store_true", help="one net, without intervals and retrieval")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.notes < 1 or args.rounds < 1:
        parser.error("--notes and --rounds are at least 1")
    torch.set_num_threads(args.threads)
    print("| context | way | seconds: median (min to max) | notes/s | speed, read again = 1 |")
    print("|---:|---|---|---:|---|")
    for context in (None, args.notes + 1):
        module = composer(args.voices, context, args.plain)
        print("\n".join(rows(module, args.notes, args.rounds)), flush=True)
    size = sum(weight.numel() for weight in module.parameters())
    print(
        f"\ntorch {torch.__version__}, float32, {args.threads} threads, {size:,} parameters, {args.notes} notes, "
        f"voices {args.voices}, one piece at a time, {args.rounds} rounds"
    )


if __name__ == "__main__":
    main()
