"""Looks for a string on which a parity net is wrong."""

import itertools

import torch

from seq_modules.systems.parity import ParityModule

MAX_PERIOD = 5  # of repeated words
DENSITIES = (0.02, 0.1, 0.5, 0.9, 0.98)  # of ones in random strings
RANDOM_STRINGS = 8  # of each density


@torch.inference_mode()
def find_counterexample(module: ParityModule, length: int = 1000) -> str | None:
    """The shortest beginning of the strings that are tried after which the net's answer is wrong.

    Tried are random strings with few ones, many, and half, and all words of up to 5 bits repeated for ever, alone and
    after a 1. Long runs of equal bits are among them, which uniform random strings do not hold.

    Args:
        module: The net, in evaluation mode.
        length: Bits of each string.

    Returns:
        The string; None if the net is right on all of them.
    """
    bits = strings_to_try(length)
    logits, _ = module(bits.to(module.device))
    odd = bits.cumsum(1) % 2 == 1
    wrong = (logits.cpu() > 0) != odd
    if not wrong.any():
        return None
    row = int(first_true(wrong).argmin())
    return "".join(map(str, bits[row, : int(first_true(wrong)[row]) + 1].tolist()))


def first_true(x: torch.Tensor) -> torch.Tensor:
    """Place of the first true value of each row of (B, T), T where there is none."""
    return torch.where(x.any(1), x.int().argmax(1), x.shape[1])


def strings_to_try(length: int) -> torch.Tensor:
    """The strings of :func:`find_counterexample`, (B, T) integers."""
    rows = []
    for period in range(1, MAX_PERIOD + 1):
        for word in itertools.product((0, 1), repeat=period):
            repeated = torch.tensor(word).repeat(-(-length // period))[:length]
            rows += [repeated, torch.cat([torch.ones(1, dtype=torch.int64), repeated[:-1]])]
    generator = torch.Generator().manual_seed(0)
    for density in DENSITIES:
        rows += (torch.rand(RANDOM_STRINGS, length, generator=generator) < density).long().unbind()
    return torch.stack(rows)


def by_runs(string: str) -> str:
    """A bit string with its runs counted: "1 0x75" for a one and 75 zeros."""
    runs = [(bit, len(list(same))) for bit, same in itertools.groupby(string)]
    return " ".join(bit if count == 1 else f"{bit}x{count}" for bit, count in runs)
