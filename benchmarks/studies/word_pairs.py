"""How long 40,000 word pairs take.

    python benchmarks/studies/word_pairs.py

A GPT over characters with 1.4 million parameters scores both words of each pair, first token included, in evaluation
mode, as the spelling test does; beside it the obvious loop, one word after the other. The weights are random, which
changes nothing about the time; the words are those of the embedded corpus, edited as in the spelling test.
"""

import argparse
import random
import re
import statistics
import time

import torch

from datamodules import CorpusDataModule
from seq_modules import GPTLanguageModel
from seq_modules.nets.transformer.gpt import GPTConfig
from seq_modules.probes.pairs import Pair, score_pairs
from seq_modules.probes.spelling import EDITS


def pairs_of(words: list[str], count: int) -> list[Pair]:
    """That many different pairs of a word and the word edited."""
    generator = random.Random(0)
    found: dict[tuple[str, str], Pair] = {}
    while len(found) < count:
        word, kind = generator.choice(words), generator.choice(list(EDITS))
        bad = EDITS[kind](word, "abcdefghijklmnopqrstuvwxyz", generator)
        if bad != word:
            found[word, bad] = Pair(f" {word},", f" {bad},", "spelling", kind, word)
    return list(found.values())


def main() -> None:
    """Times both ways and prints them."""
    parser = argparse.ArgumentParser(description="Seconds to score word pairs, batched and one by one.")
    parser.add_argument("--pairs", type=int, default=40_000)
    parser.add_argument("--one_by_one", type=int, default=500, help="pairs of the slow loop, scaled up")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    data = CorpusDataModule()
    torch.manual_seed(0)
    net = GPTConfig(d_model=128, num_layers=7, num_heads=4, positions="rotary")
    module = GPTLanguageModel(data.vocab_size, net).eval()
    module.tokenizer = data.tokenizer
    words = sorted(set(re.findall(r"\b[a-z]{4,}\b", data.train_text())))
    pairs = pairs_of(words, args.pairs)
    size = sum(p.numel() for p in module.parameters()) / 1e6
    print(f"{size:.2f} M parameters, {len(pairs):,} pairs of {len(words):,} words, {torch.get_num_threads()} threads")
    batched, single = [], []
    for _ in range(args.rounds):
        start = time.perf_counter()
        score_pairs(pairs, module.score)
        batched.append(time.perf_counter() - start)
        start = time.perf_counter()
        for pair in pairs[: args.one_by_one]:
            module.score([pair.good])
            module.score([pair.bad])
        single.append((time.perf_counter() - start) * len(pairs) / args.one_by_one)
    for name, seconds in (("batched", batched), ("one by one (scaled up)", single)):
        print(f"{name:<24} {statistics.median(seconds):7.1f} s   ({min(seconds):.1f} to {max(seconds):.1f})")


if __name__ == "__main__":
    main()
