"""This machine in one line, to stand beside every time that is published: its instructions and its rates of products.

    python benchmarks/speed/machine.py

The products are those of a linear layer, forward and backward, of a small GPT's size (seqlight/core/hardware.py): on
one thread by its own clock, which other programs do not sway, and on all threads by the wall clock, which they do.
Medians of rounds in which float32 and bfloat16 take turns.
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
    whole = f"fp32 {found.fp32:.0f} and bf16 {found.bf16:.0f} GF/s"
    if args.device == "cpu":
        one = hardware.one_thread(seconds=args.seconds)
        whole = (
            f"fp32 {one.fp32:.0f} and bf16 {one.bf16:.0f} GF/s on one thread by its own clock; {whole} "
            f"by the wall clock, threads {torch.get_num_threads()}"
        )
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{hardware.name(args.device)}: {whole}; {versions}")


if __name__ == "__main__":
    main()
