"""Prints the machine in one line, to be published beside each time: its instructions and its rate of matrix products.

    python benchmarks/speed/machine.py

The matrix products are those of a linear layer of a small GPT, forward and backward (seqlight/core/hardware.py). They
are timed on one thread by its CPU time, which other programs hardly affect, and on all threads by the wall clock, which
they do affect. The rates are medians over rounds in which float32 and bfloat16 alternate.
"""

import argparse
import platform

import torch

from seqlight.core import hardware


def main() -> None:
    """Measures and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=sorted(hardware.SHAPES))
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each number of threads is measured")
    args = parser.parse_args()
    found = hardware.measure(args.device, seconds=args.seconds)
    whole = f"fp32 {found.fp32:.0f} and bf16 {found.bf16:.0f} GFLOP/s"
    if args.device == "cpu":
        one = hardware.one_thread(seconds=args.seconds)
        whole = (
            f"fp32 {one.fp32:.0f} and bf16 {one.bf16:.0f} GFLOP/s on one thread by its own clock; {whole} "
            f"by the wall clock, threads {torch.get_num_threads()}"
        )
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{hardware.name(args.device)}: {whole}; {versions}")


if __name__ == "__main__":
    main()
