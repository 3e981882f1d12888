"""Speed of a training step beside transformers' GPT-2 of the same size: forward, backward and AdamW.

    python benchmarks/speed/gpt_step.py

"large" is nanoGPT's net for tiny Shakespeare (6 layers, 6 heads, width 384, window 256, dropout 0.2) at batch 16,
"small" one of 0.8 M parameters (4 layers, 4 heads, width 128) at batch 12 and window 64. Ours starts from the peer's
weights, and their logits are compared before anything is timed. Both have the same loss, the same fused AdamW and the
same batches; bf16 is autocast over float32 weights. Ours runs with its blocks compiled (--compile), the peer
as its users run it, or compiled too (--compile_peer). Ours has no dropout on attention weights, so by default the peer
has none there, which is to its advantage; with --attention_dropout it has GPT-2's.

timing.py says how speeds are compared. The last column has the rate of matrix products (2048 × 2048) of the machine,
measured in every round, and the fraction of it that each net reached: a step counts as 6 operations per token and
weight of a matrix, and 12·L·T·D per token for attention (Chowdhery et al. 2022, without the causal half). If bf16 ends
in "illegal instruction", set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timing import median, seconds, speed
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.transformers_weights import from_gpt2

VOCAB_SIZE, SIDE = 65, 2048


@dataclass(frozen=True)
class Setting:
    """A size of net and of batch."""

    num_layers: int
    num_heads: int
    d_model: int
    seq_len: int
    batch_size: int
    dropout: float

    @property
    def operations(self) -> float:
        """Of a step's products, forward and backward."""
        weights = 12 * self.num_layers * self.d_model**2 + VOCAB_SIZE * self.d_model
        attention = 12 * self.num_layers * self.seq_len * self.d_model
        return self.batch_size * self.seq_len * (6 * weights + attention)


SETTINGS = {"large": Setting(6, 6, 384, 256, 16, 0.2), "small": Setting(4, 4, 128, 64, 12, 0.0)}


def pair(setting: Setting, attention_dropout: bool) -> tuple[GPT, nn.Module]:
    """Ours and the peer's net, with the same weights and, without dropout, the same logits."""
    peer: Any = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB_SIZE,
            n_positions=setting.seq_len,
            n_embd=setting.d_model,
            n_layer=setting.num_layers,
            n_head=setting.num_heads,
            resid_pdrop=setting.dropout,
            embd_pdrop=setting.dropout,
            attn_pdrop=setting.dropout if attention_dropout else 0.0,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    ours = GPT(
        VOCAB_SIZE,
        GPTConfig(
            d_model=setting.d_model,
            num_layers=setting.num_layers,
            num_heads=setting.num_heads,
            max_seq_len=setting.seq_len,
            dropout=setting.dropout,
        ),
    )
    ours.load_state_dict(from_gpt2(peer.state_dict()))
    ids = torch.randint(VOCAB_SIZE, (2, setting.seq_len))
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(ids), peer.eval()(ids).logits, rtol=0, atol=1e-4)
    return ours.train(), peer.train()


def trainer(net: nn.Module, ids: Tensor, labels: Tensor, bf16: bool) -> Callable[[], None]:
    """A training step of a net."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.1, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = net(ids)
            logits = output if isinstance(output, Tensor) else output.logits
            loss = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def compare(name: str, bf16: bool, args: argparse.Namespace) -> list[str]:
    """The rows of the table for one setting in one precision."""
    torch._dynamo.reset()
    setting = SETTINGS[name]
    net, peer = pair(setting, args.attention_dropout)
    if args.compile == "blocks":
        for block in net.blocks:
            block.compile(dynamic=False)
    elif args.compile == "net":
        net.compile(dynamic=False)
    if args.compile_peer:
        peer.compile(dynamic=False)
    ids, labels = torch.randint(VOCAB_SIZE, (2, setting.batch_size, setting.seq_len))
    runs = {"transformers": trainer(peer, ids, labels, bf16), "ours": trainer(net, ids, labels, bf16)}
    a, b = torch.randn(2, SIDE, SIDE, dtype=torch.bfloat16 if bf16 else torch.float32)
    product = partial(torch.mm, a, b)
    for run in (*runs.values(), product):
        for _ in range(args.warm_up):
            run()
    times = max(1, round(args.seconds / seconds(runs["transformers"], 2)))
    rounds = []
    for _ in range(args.rounds):
        now = {engine: seconds(run, times) for engine, run in runs.items()}
        rounds.append(now | {"product": seconds(product, 2)})
    rate = 2 * SIDE**3 / median(rounds, "product")
    lines = []
    for engine in runs:
        taken = median(rounds, engine)
        reached = setting.operations / taken
        cells = (
            f"{name} | {'bf16' if bf16 else 'fp32'} | {engine} | {1e3 * taken:.1f}",
            f"{setting.batch_size * setting.seq_len / taken:,.0f}",
            speed(rounds, engine, "transformers"),
            f"{reached / 1e9:.0f} of {rate / 1e9:.0f} ({reached / rate:.0%})",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--compile", choices=["blocks", "net", "none"], default="blocks", help="of ours")
    parser.add_argument("--compile_peer", action="store_true")
    parser.add_argument("--attention_dropout", action="store_true", help="in the peer, beside its other dropout")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warm_up", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long the peer runs in a round")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    print(
        f"torch {torch.__version__}, {args.threads} threads, {args.rounds} rounds, ours compiled: {args.compile}, "
        f"the peer: {'net' if args.compile_peer else 'none'}, its attention's dropout: "
        f"{'as elsewhere' if args.attention_dropout else 'none'}\n"
    )
    print("| net | precision | engine | ms a step | tokens/s | speed, transformers = 1 | GFLOP/s, of the machine's |")
    print("|---|---|---|---:|---:|---|---|")
    for name in args.configs:
        for precision in args.precisions:
            print("\n".join(compare(name, precision == "bf16", args)), flush=True)


if __name__ == "__main__":
    main()
