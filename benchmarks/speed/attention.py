"""Two engines of causal attention beside each other: torch's kernel and two batched products, forward and backward.

    python benchmarks/speed/attention.py

What ``attention: auto`` of seq_modules/nets/transformer/attention.py chooses rests on this table. Before anything is
timed, the engines' results and gradients are compared. timing.py says what the table has.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timing import median, speed
from torch import Tensor

from seq_modules.nets.transformer.attention import causal_mask, eager, resolve_kind

SHAPES = [(12, 4, 64, 32), (16, 2, 128, 64), (8, 2, 256, 64), (16, 6, 256, 64), (8, 6, 512, 64), (4, 8, 1024, 64)]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Engine = Callable[[Tensor, Tensor, Tensor], Tensor]


def engines(steps: int, device: torch.device, dtype: torch.dtype) -> dict[str, Engine]:
    """Both, for sequences of so many steps."""
    mask = causal_mask(steps, device, dtype)
    return {
        "sdpa": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        "eager": lambda q, k, v: eager(q, k, v, mask),
    }


def both_ways(engine: Engine, inputs: list[Tensor], ahead: Tensor) -> list[Tensor]:
    """The result and the gradients of queries, keys and values."""
    y = engine(*inputs)
    return [y.detach(), *torch.autograd.grad(y, inputs, ahead)]


def mean_seconds(engine: Engine, inputs: list[Tensor], ahead: Tensor, least: float) -> float:
    """Mean seconds of one forward and backward pass, over at least so many seconds."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < least:
        both_ways(engine, inputs, ahead)
        if ahead.is_cuda:
            torch.cuda.synchronize()
        done += 1
    return (time.perf_counter() - start) / done


def row(shape: tuple[int, int, int, int], precision: str, args: argparse.Namespace) -> str:
    """A line of the table."""
    device, dtype = torch.device(args.device), DTYPES[precision]
    inputs = [torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for _ in range(3)]
    ahead = torch.randn(shape, device=device, dtype=dtype)
    both = engines(shape[2], device, dtype)
    tolerance = 1e-5 if precision == "fp32" else 0.1
    for one, other in zip(*(both_ways(engine, inputs, ahead) for engine in both.values()), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    rounds = [
        {name: mean_seconds(engine, inputs, ahead, args.seconds) for name, engine in both.items()}
        for _ in range(args.rounds)
    ]
    milliseconds = " | ".join(f"{1000 * median(rounds, name):.2f}" for name in both)
    auto = resolve_kind("auto", device.type, dtype, shape[2])
    ratio = speed(rounds, "eager", "sdpa")
    return f"| {' x '.join(map(str, shape))} | {precision} | {milliseconds} | {ratio} | {auto} |"


def main() -> None:
    """Measures and prints a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="about how long each engine runs in a round")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.device}, {args.threads} threads, {args.rounds} rounds\n")
    print("| B x H x T x K | precision | sdpa, ms | eager, ms | speed of eager, sdpa = 1 | auto |")
    print("|---|---|---:|---:|---|---|")
    for precision in DTYPES:
        for shape in SHAPES:
            print(row(shape, precision, args), flush=True)


if __name__ == "__main__":
    main()
