"""This machine in one line, to stand beside every time that is published: its instructions and its rates of products.

    python benchmarks/machine.py

The products are those of a linear layer, forward and backward, of a small GPT's size (seqlight/core/hardware.py); with
one thread and with all. Medians of rounds in which float32 and bfloat16 take turns.
"""

import argparse
import os
import platform

import torch

from seqlight.core import hardware


def main() -> None:
    """Measures and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=sorted(hardware.SHAPES))
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each number of threads is measured")
    args = parser.parse_args()
    rates = []
    for threads in sorted({1, len(os.sched_getaffinity(0))} if args.device == "cpu" else {1}):
        torch.set_num_threads(threads)
        found = hardware.measure(args.device, seconds=args.seconds)
        counted = f" on {threads} thread{'s' * (threads > 1)}" if args.device == "cpu" else ""
        rates.append(f"fp32 {found.fp32:.0f} and bf16 {found.bf16:.0f} GF/s{counted}")
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{hardware.name(args.device)}: {'; '.join(rates)}; {versions}")


if __name__ == "__main__":
    main()
