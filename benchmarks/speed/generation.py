"""Speed of generation beside transformers' GPT-2 with its cache, and beside our own naive loop.

    flock /tmp/cpu.lock python benchmarks/speed/generation.py

A GPT of 10.7 M parameters (6 layers, 6 heads, width 384, window 256, 65 characters) continues a one-token prompt by
256 tokens, at batch 1 and at batch 32. All contenders run in one process, one after another in every round, so that a
slow moment of the machine meets them all; each has a short run that does not count before the first round. The naive
loop reads the whole text again for each token, so it has fewer rounds. A round gives each contender's speed as a
fraction of transformers' in the same round, and of the naive loop's where the round has one; the table has the median
of the rounds, and the smallest and largest.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from seq_modules.generation import Decoding, generate
from seq_modules.nets.transformer.gpt import GPT
from seq_modules.nets.transformer.gpt_config import GPTConfig

VOCAB_SIZE, WINDOW = 65, 256
PEER, CACHED, NAIVE = "transformers, cached", "ours, cached", "ours, naive"
Contender = Callable[[int], list[list[int]]]  # takes how many tokens to add to each row, gives them


def ours() -> nn.Module:
    """Our net, in GPT-2's shape."""
    return GPT(VOCAB_SIZE, GPTConfig(d_model=384, num_layers=6, num_heads=6, max_seq_len=WINDOW)).eval()


def peer(net: nn.Module) -> GPT2LMHeadModel:
    """transformers' net of the same size and the same number of weights."""
    config = GPT2Config(
        vocab_size=VOCAB_SIZE, n_positions=WINDOW, n_embd=384, n_layer=6, n_head=6, bos_token_id=None, eos_token_id=None
    )
    model = GPT2LMHeadModel(config).eval()
    sizes = [sum(p.numel() for p in module.parameters()) for module in (net, model)]
    assert sizes[0] == sizes[1], f"the nets differ in size: {sizes}"
    return model


def contenders(net: nn.Module, model: GPT2LMHeadModel, batch_size: int, decoding: str) -> dict[str, Contender]:
    """All engines, from one prompt and with one way to choose tokens; transformers first."""
    prompts = [[1]] * batch_size
    temperature = 0.0 if decoding == "greedy" else 1.0

    def by_transformers(tokens: int) -> list[list[int]]:
        ids: Tensor = model.generate(
            torch.tensor(prompts),
            attention_mask=torch.ones(batch_size, 1, dtype=torch.long),
            max_new_tokens=tokens,
            do_sample=decoding == "sample",
            top_k=0 if decoding == "sample" else None,
            use_cache=True,
            pad_token_id=0,
        )
        return ids[:, 1:].tolist()

    def by_us(cached: bool) -> Contender:
        return lambda tokens: generate(net, prompts, Decoding(tokens, temperature=temperature), cached=cached)

    return {PEER: by_transformers, CACHED: by_us(True), NAIVE: by_us(False)}


def seconds(run: Contender, tokens: int, batch_size: int) -> float:
    """Seconds of one run, whose output must have the requested size."""
    start = time.perf_counter()
    rows = run(tokens)
    duration = time.perf_counter() - start
    assert [len(row) for row in rows] == [tokens] * batch_size
    return duration


def compare(net: nn.Module, model: GPT2LMHeadModel, batch_size: int, args: argparse.Namespace) -> list[str]:
    """The rows of the table for one batch size."""
    runs = contenders(net, model, batch_size, args.decoding)
    check = min(args.tokens, 32)
    assert runs[CACHED](check) == runs[NAIVE](check), "the cached loop gives other tokens than the naive one"
    runs[PEER](check)
    times: dict[str, list[float]] = {name: [] for name in runs}
    speeds: dict[tuple[str, str], list[float]] = {(PEER, CACHED): [], (PEER, NAIVE): [], (NAIVE, CACHED): []}
    for number in range(args.rounds):
        now = {
            name: seconds(run, args.tokens, batch_size)
            for name, run in runs.items()
            if name != NAIVE or number < args.naive_rounds
        }
        for name, duration in now.items():
            times[name].append(duration)
        for base, name in speeds:
            if base in now and name in now:
                speeds[base, name].append(now[base] / now[name])
    lines = []
    for name, durations in times.items():
        median = statistics.median(durations)
        cells = [
            "1" if base == name else spread(speeds[base, name]) if (base, name) in speeds else ""
            for base in (PEER, NAIVE)
        ]
        rate = batch_size * args.tokens / median
        lines.append(f"| {batch_size} | {name} | {median:.3f} | {rate:,.0f} | {' | '.join(cells)} |")
    return lines


def spread(ratios: list[float]) -> str:
    """Median, smallest and largest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--tokens", type=int, default=WINDOW)
    parser.add_argument("--decoding", choices=["greedy", "sample"], default="greedy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--naive_rounds", type=int, default=3)
    args = parser.parse_args()
    if args.tokens > WINDOW or args.naive_rounds < 1 or args.rounds < args.naive_rounds:
        parser.error(f"--tokens is at most {WINDOW}, and --rounds at least --naive_rounds, which is at least 1")
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    net = ours()
    model = peer(net)
    print(
        f"torch {torch.__version__}, float32, {args.threads} threads, {sum(p.numel() for p in net.parameters()):,} "
        f"parameters, {args.tokens} tokens after 1, {args.decoding}, {args.rounds} rounds ({args.naive_rounds} naive)\n"
    )
    print("| batch | engine | seconds | tokens/s | speed, transformers = 1: median (min to max) | speed, naive = 1 |")
    print("|---:|---|---:|---:|---|---|")
    for batch_size in args.batch_sizes:
        print("\n".join(compare(net, model, batch_size, args)), flush=True)


if __name__ == "__main__":
    main()
