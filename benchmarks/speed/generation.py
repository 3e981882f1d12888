"""Speed of generation beside transformers' GPT-2 with its cache, and beside our own naive loop.

    python benchmarks/speed/generation.py

A GPT of 10.7 M parameters (6 layers, 6 heads, width 384, window 256, 65 characters) continues a one-token prompt by
256 tokens, at batch 1 and at batch 32. Each program has a short run before the first round. The naive loop reads the
whole text again for each token, so it has fewer rounds. timing.py says what the table has.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from timing import median, speed, time_rounds
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from seq_modules.generation import Decoding, generate
from seq_modules.nets.transformer.gpt import GPT, GPTConfig

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


def compare(net: nn.Module, model: GPT2LMHeadModel, batch_size: int, args: argparse.Namespace) -> list[str]:
    """The rows of the table for one batch size."""
    runs = contenders(net, model, batch_size, args.decoding)
    check = min(args.tokens, 32)
    found = {name: run(check) for name, run in runs.items()}
    assert found[CACHED] == found[NAIVE], "the cached loop gives other tokens than the naive one"
    for rows in found.values():  # no engine ends a row early
        assert [len(row) for row in rows] == [check] * batch_size
    calls = {name: partial(run, args.tokens) for name, run in runs.items()}
    rounds = time_rounds(calls, args.rounds, fewer={NAIVE: args.naive_rounds})
    lines = []
    for name in runs:
        taken = median(rounds, name)
        beside_naive = "" if name == PEER else speed(rounds, name, NAIVE)
        lines.append(
            f"| {batch_size} | {name} | {taken:.3f} | {batch_size * args.tokens / taken:,.0f} | "
            f"{speed(rounds, name, PEER)} | {beside_naive} |"
        )
    return lines


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
