"""Speed of composing with a cache, beside reading all notes again for each note.

    python benchmarks/speed/music_generation.py

The Transformer of configs/music/transformer.yaml, untrained and with the tokens of the built-in etudes, composes 512
notes without a prompt, one piece at a time, at temperature 1. Each way has a short run before the first round, and both
must give the same notes. Two contexts are measured: that of the config, in which the blocks attend to a window of the
last notes (a model with retrieval still reads the whole piece again, window by window), and one that holds the whole
piece. timing.py says what the table has.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from timing import median, speed, spread, time_rounds

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


def compose(module: TransformerMusicDecoder, notes: int, cached: bool) -> np.ndarray:
    """One piece of as many notes as requested."""
    (events,) = module.sample(1, Decoding(notes, temperature=1.0), cached=cached)
    assert len(events) == notes
    return events


def rows(module: TransformerMusicDecoder, notes: int, rounds: int) -> list[str]:
    """The table's rows for one model."""
    check = [compose(module, min(notes, CHECKED), cached) for cached in WAYS.values()]
    assert np.array_equal(*check), "the cached loop gives other notes than reading them again"
    taken = time_rounds({name: partial(compose, module, notes, cached) for name, cached in WAYS.items()}, rounds)
    return [
        f"| {module.net.max_seq_len} | {name} | {spread([one[name] for one in taken], '.3f')} | "
        f"{notes / median(taken, name):,.0f} | {speed(taken, name, 'read again')} |"
        for name in WAYS
    ]


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
