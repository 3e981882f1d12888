"""Speed of generation beside transformers' GPT-2 with its cache, and beside our own naive loop.

    python benchmarks/speed/generation.py
    python benchmarks/speed/generation.py --ckpt_path best --text input.txt --decoding sample

A GPT of 10.7 M parameters (6 layers, 6 heads, width 384, window 256, 65 characters) continues a one-token prompt by
256 tokens, at batch 1 and at batch 32. Each program has a short run before the first round. The naive loop reads the
whole text again for each token, so it has fewer rounds. timing.py says what the table has.

Random weights write nothing that could be guessed. With --ckpt_path, a net in GPT-2's form that is trained on --text,
both programs have its weights, the prompts are 32 tokens each from the text's last tenth, and speculative decoding
comes in: ours, with guesses from the rows alone and from the text's first nine tenths too, and transformers' prompt
lookup, which takes one row alone. The last column has our new tokens of a row and step.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timing import CLOCKS, median, speed, time_rounds
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

import seqlight
from seq_modules.generation import Decoding, generate
from seq_modules.generation.speculative.drafter import common_followers
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.transformers_weights import from_gpt2

VOCAB_SIZE, WINDOW, PROMPT = 65, 256, 32
PEER, CACHED, NAIVE = "transformers, cached", "ours, cached", "ours, naive"
LOOKUP, ROWS, TEXT = "transformers, prompt lookup", "ours, guesses from the rows", "ours, guesses from a text too"
Contender = Callable[[int], list[list[int]]]  # takes how many tokens to add to each row, gives them


@dataclass
class Setting:
    """What is continued, and by which net.

    Attributes:
        net: Ours, in GPT-2's form.
        model: transformers', with the same weights.
        ids: The text to learn guesses from and to take prompts from; None for random weights.
    """

    net: Any
    model: GPT2LMHeadModel
    ids: Tensor | None


def setting(ckpt_path: str | None, text: str | None) -> Setting:
    """The nets, with the weights of a checkpoint or random ones."""
    if ckpt_path is None:
        net, ids = GPT(VOCAB_SIZE, GPTConfig(d_model=384, num_layers=6, num_heads=6, max_seq_len=WINDOW)).eval(), None
    else:
        module: Any = seqlight.load(ckpt_path)
        net, ids = module.net, torch.from_numpy(module.tokenizer.encode_array(Path(text or "").read_text())).long()
    return Setting(net, peer(net), ids)


@torch.no_grad()
def peer(net: GPT) -> GPT2LMHeadModel:
    """transformers' net of the same size, with the same weights."""
    shape = net.config
    config = GPT2Config(
        vocab_size=net.token_embedding.num_embeddings,
        n_positions=shape.max_seq_len,
        n_embd=shape.d_model,
        n_layer=shape.num_layers,
        n_head=shape.num_heads,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GPT2LMHeadModel(config).eval()
    sizes = [sum(p.numel() for p in module.parameters()) for module in (net, model)]
    assert sizes[0] == sizes[1], f"the nets differ in size: {sizes}"
    weights = net.state_dict()
    for name, theirs in from_gpt2(model.state_dict()).items():  # views of its weights
        theirs.copy_(weights[name])
    return model


def contenders(one: Setting, batch_size: int, args: argparse.Namespace) -> dict[str, Contender]:
    """All engines, from the same prompts and with one way to choose tokens; transformers first."""
    sampled = args.decoding == "sample"
    decoding = Decoding(temperature=args.temperature if sampled else 0.0)
    prompts, followers = [[1]] * batch_size, None
    if one.ids is not None:
        train = len(one.ids) * 9 // 10
        starts = torch.linspace(train, len(one.ids) - PROMPT, batch_size).long().tolist()
        prompts = [one.ids[start : start + PROMPT].tolist() for start in starts]
        followers = common_followers(one.ids[:train])

    def by_transformers(tokens: int, **more: int) -> list[list[int]]:
        ids: Tensor = one.model.generate(
            torch.tensor(prompts),
            attention_mask=torch.ones(batch_size, len(prompts[0]), dtype=torch.long),
            max_new_tokens=tokens,
            do_sample=sampled,
            temperature=args.temperature if sampled else None,
            top_k=0 if sampled else None,
            use_cache=True,
            pad_token_id=0,
            **more,
        )
        return ids[:, len(prompts[0]) :].tolist()

    def by_us(**more: Any) -> Contender:
        guesses = args.speculative if "followers" in more else 0
        return lambda tokens: generate(
            one.net,
            prompts,
            replace(decoding, max_new_tokens=tokens, num_speculative_tokens=guesses),
            **more,
        )

    runs: dict[str, Contender] = {PEER: by_transformers, CACHED: by_us(), NAIVE: by_us(cached=False)}
    if followers is not None:
        runs |= {ROWS: by_us(followers={}), TEXT: by_us(followers=followers)}
        if batch_size == 1:
            runs[LOOKUP] = partial(by_transformers, prompt_lookup_num_tokens=args.speculative)
    return runs


def tokens_a_step(net: nn.Module, run: Callable[[], list[list[int]]]) -> float:
    """New tokens of a row and step of our net, after the step that reads the prompt."""
    read, extend = list[int](), net.extend
    net.extend = lambda ids, *rest: (read.append(len(ids)), extend(ids, *rest))[1]  # type: ignore[assignment]
    try:
        rows = run()
    finally:
        del net.extend
    return sum(len(row) - 1 for row in rows) / sum(read) if read else 1.0


def compare(one: Setting, batch_size: int, args: argparse.Namespace) -> list[str]:
    """The rows of the table for one batch size."""
    runs = contenders(one, batch_size, args)
    check = min(args.tokens, 32)
    found = {name: run(check) for name, run in runs.items()}
    for name in (NAIVE, ROWS, TEXT):
        assert found[CACHED] == found.get(name, found[CACHED]), f"{name} gives other tokens than the cached loop"
    assert args.decoding == "sample" or found[PEER] == found[CACHED], "transformers gives other tokens"
    for rows in found.values():  # no engine ends a row early
        assert [len(row) for row in rows] == [check] * batch_size
    calls = {name: partial(run, args.tokens) for name, run in runs.items()}
    rounds = time_rounds(calls, args.rounds, fewer={NAIVE: args.naive_rounds}, clock=CLOCKS[args.clock])
    lines = []
    for name in runs:
        taken = median(rounds, name)
        beside_naive = "" if name in (PEER, LOOKUP) else speed(rounds, name, NAIVE)
        steps = f"{tokens_a_step(one.net, calls[name]):.2f}" if name in (ROWS, TEXT) else ""
        lines.append(
            f"| {batch_size} | {name} | {taken:.3f} | {batch_size * args.tokens / taken:,.0f} | "
            f"{speed(rounds, name, PEER)} | {beside_naive} | {steps} |"
        )
    return lines


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--tokens", type=int, default=WINDOW)
    parser.add_argument("--decoding", choices=["greedy", "sample"], default="greedy")
    parser.add_argument("--temperature", type=float, default=1.0, help="of sampling")
    parser.add_argument("--ckpt_path", help="weights, of a net in GPT-2's form; by default random ones")
    parser.add_argument("--text", help="the text that they were trained on")
    parser.add_argument("--speculative", type=int, default=4, help="guesses of a step")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--naive_rounds", type=int, default=3)
    args = parser.parse_args()
    if args.tokens > WINDOW or args.naive_rounds < 1 or args.rounds < args.naive_rounds:
        parser.error(f"--tokens is at most {WINDOW}, and --rounds at least --naive_rounds, which is at least 1")
    if (args.ckpt_path is None) != (args.text is None):
        parser.error("--ckpt_path and --text go together")
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    one = setting(args.ckpt_path, args.text)
    net = one.net
    before, guessed = (1, 0) if one.ids is None else (PROMPT, args.speculative)
    args.tokens = min(args.tokens, net.max_seq_len - before - guessed + 1)  # where transformers' positions end
    print(
        f"torch {torch.__version__}, float32, {args.threads} threads, {sum(p.numel() for p in net.parameters()):,} "
        f"parameters, {args.tokens} tokens after {before}, {args.decoding}, {args.rounds} rounds "
        f"({args.naive_rounds} naive), {args.clock} clock\n"
    )
    print("| batch | engine | seconds | tokens/s | speed, transformers = 1: median (min to max) ", end="")
    print("| speed, naive = 1 | tokens a step |\n|---:|---|---:|---:|---|---|---:|")
    for batch_size in args.batch_sizes:
        print("\n".join(compare(one, batch_size, args)), flush=True)


if __name__ == "__main__":
    main()
