"""Speed of translation beside transformers' Marian with its cache, and beside our own naive loop.

    python benchmarks/speed/translation_decoding.py

A Transformer translates sources of 12 to 15 tokens into 20 tokens each, greedily and with 5 beams, at batch 1 and at
batch 64. It has one table of 8,000 subwords and one of two sizes: "tiny", of the literature on Multi30k (width 128,
feed-forward 256, 4 + 4 layers, 4 heads), or "small" (width 256, feed-forward 1,024, 3 + 3 layers, 8 heads). Both
programs have the same random weights, and before anything is timed they must give the same tokens. Neither has an
end-of-sequence token, so that all do the same work. The naive loop reads the source and the whole target again for each
token. timing.py says what the table has.
"""

import argparse
import random
from collections.abc import Callable
from typing import Any

import torch
from timing import CLOCKS, median, speed, time_rounds
from torch import nn
from transformers import MarianConfig, MarianMTModel

from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.seq2seq import translate
from seq_modules.nets.transformer.seq2seq import EncoderDecoderTransformer
from seq_modules.nets.transformer.seq2seq_config import Seq2SeqTransformerConfig
from seq_modules.nets.transformer.transformers_weights import from_marian
from seqlight.core.labels import BOS, EOS, PAD

VOCAB_SIZE, LONGEST = 8000, 64
SIZES = {"tiny": (128, 4, 4, 4, 256), "small": (256, 3, 3, 8, 1024)}  # width, encoder, decoder, heads, feed-forward
PEER, CACHED, NAIVE = "transformers, cached", "ours, cached", "ours, naive"
Contender = Callable[[], list[list[int]]]  # gives the new tokens of each source


def peer(size: str) -> MarianMTModel:
    """transformers' net, with weights that make some tokens much likelier than others."""
    width, encoder_layers, decoder_layers, heads, feed_forward = SIZES[size]
    config = MarianConfig(
        vocab_size=VOCAB_SIZE, d_model=width, encoder_layers=encoder_layers, decoder_layers=decoder_layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=feed_forward,
        decoder_ffn_dim=feed_forward, max_position_embeddings=LONGEST, activation_function="relu", scale_embedding=True,
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=BOS, forced_eos_token_id=None,
    )  # fmt: skip
    model = MarianMTModel(config).eval()
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and "embed_positions" not in name:
            nn.init.normal_(weight, std=(width if "shared" in name else sum(weight.shape) / 2) ** -0.5)
    model.generation_config.eos_token_id = None
    return model


def ours(model: MarianMTModel, size: str) -> EncoderDecoderTransformer:
    """Our net with the same weights."""
    shape = Seq2SeqTransformerConfig(
        *SIZES[size], max_seq_len=LONGEST, positions="learned", norm_first=False, share_embeddings="all"
    )
    net = EncoderDecoderTransformer(VOCAB_SIZE, VOCAB_SIZE, shape).eval()
    net.load_state_dict(from_marian(model.state_dict()))
    return net


def sources(count: int) -> list[list[int]]:
    """Random sources of 12 to 15 tokens."""
    draw = random.Random(0)
    return [
        [*(draw.randrange(4, VOCAB_SIZE) for _ in range(draw.randint(11, 14))), EOS] for _ in range(count)
    ]  # fmt: skip


def contenders(model: MarianMTModel, net: nn.Module, batch_size: int, beams: int, tokens: int) -> dict[str, Contender]:
    """All engines, with one batch and one way to choose tokens; transformers first."""
    batch = sources(batch_size)
    width = max(map(len, batch))
    ids = torch.tensor([[*source, *[PAD] * (width - len(source))] for source in batch])
    mask = (ids != PAD).long()

    def by_transformers() -> list[list[int]]:
        found: Any = model.generate(
            ids, attention_mask=mask, max_new_tokens=tokens, num_beams=beams, do_sample=False, use_cache=True
        )
        return found[:, 1:].tolist()

    def by_us(cached: bool) -> Contender:
        decoding = Decoding(tokens, beams=beams)
        return lambda: [
            best[0].ids
            for best in translate(net, batch, decoding, None, batch_size, cached=cached, eos_id=None, suppressed=())
        ]

    return {PEER: by_transformers, CACHED: by_us(True), NAIVE: by_us(False)}


def compare(runs: dict[str, Contender], label: str, batch_size: int, args: argparse.Namespace) -> list[str]:
    """The rows of the table for one setting."""
    found = {name: run() for name, run in runs.items()}
    assert found[CACHED] == found[NAIVE], "the cached loop gives other tokens than the naive one"
    same = sum(a == b for a, b in zip(found[CACHED], found[PEER], strict=True))
    assert same == batch_size, f"{batch_size - same} of {batch_size} translations differ from transformers'"
    assert [len(ids) for ids in found[PEER]] == [args.tokens] * batch_size
    rounds = time_rounds(runs, args.rounds, {NAIVE: args.naive_rounds}, CLOCKS[args.clock])
    lines = []
    for name in runs:
        taken = median(rounds, name)
        beside_naive = "" if name == PEER else speed(rounds, name, NAIVE)
        lines.append(
            f"| {label} | {batch_size} | {name} | {1000 * taken:.1f} | {batch_size * args.tokens / taken:,.0f} | "
            f"{speed(rounds, name, PEER)} | {beside_naive} |"
        )
    return lines


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu, on one thread: for a busy machine")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--naive_rounds", type=int, default=5)
    args = parser.parse_args()
    if args.tokens >= LONGEST or args.naive_rounds < 1 or args.rounds < args.naive_rounds:
        parser.error(f"--tokens is below {LONGEST}, and --rounds at least --naive_rounds, which is at least 1")
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    model = peer(args.size)
    net = ours(model, args.size)
    size = f"{args.size}, {sum(p.numel() for p in net.parameters()):,} parameters"
    print(
        f"torch {torch.__version__}, float32, threads {args.threads}, {args.clock} clock, {size}, {args.tokens} "
        f"tokens, {args.rounds} rounds ({args.naive_rounds} naive)\n"
    )
    print("| decoding | batch | engine | ms | tokens/s | speed, transformers = 1: median (range) | speed, naive = 1 |")
    print("|---|---:|---|---:|---:|---|---|")
    for beams in args.beams:
        for batch_size in args.batch_sizes:
            runs = contenders(model, net, batch_size, beams, args.tokens)
            label = "greedy" if beams == 1 else f"{beams} beams"
            print("\n".join(compare(runs, label, batch_size, args)), flush=True)


if __name__ == "__main__":
    main()
