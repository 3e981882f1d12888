"""Bit strings: the labels are right, the rows depend on their number alone, padding is marked."""

import random

import numpy as np
import pytest
import torch

from datamodules.bits import IGNORED, GivenBits, RandomBits, random_uint64


def test_labels_are_the_running_parity_and_padding_is_ignored() -> None:
    batch = RandomBits(64, 1, 70, seed=3).__getitems__(range(64))
    lengths = batch["attention_mask"].sum(1)
    assert 1 <= lengths.min() < lengths.max() <= 70
    for bits, mask, labels, length in zip(
        batch["input_ids"], batch["attention_mask"], batch["labels"], lengths, strict=True
    ):
        ones = 0
        for t in range(len(bits)):
            if t < length:
                ones += int(bits[t])
                assert mask[t]
                assert labels[t] == ones % 2
            else:
                assert not mask[t]
                assert labels[t] == IGNORED
                assert bits[t] == 0


def test_a_row_is_the_same_in_any_batch_and_with_any_limit() -> None:
    data = RandomBits(64, 5, 5, seed=1)
    whole = data.__getitems__(range(64))["input_ids"]
    picked = random.Random(0).sample(range(64), 10)
    assert torch.equal(data.__getitems__(picked)["input_ids"], whole[picked])
    assert torch.equal(data[7]["input_ids"], whole[7])
    # The bits do not change with the length: a longer string begins with the shorter one.
    assert torch.equal(RandomBits(64, 200, 200, seed=1).__getitems__(range(64))["input_ids"][:, :5], whole)
    assert not torch.equal(RandomBits(64, 5, 5, seed=2).__getitems__(range(64))["input_ids"], whole)


def test_bits_and_lengths_are_fair() -> None:
    batch = RandomBits(1, 256, 256, seed=0).__getitems__(range(4096))
    bits = batch["input_ids"].double()
    deviations = 4  # standard deviations that are allowed: once in 16,000
    assert abs(bits.mean() - 0.5) < deviations * 0.5 / bits.numel() ** 0.5
    assert (bits.mean(0) - 0.5).abs().max() < 5 * 0.5 / 4096**0.5
    centred = bits - 0.5
    for shift in (1, 2, 64):  # neither steps nor rows hang together
        along = (centred[:, shift:] * centred[:, :-shift]).mean() * 4
        across = (centred[shift:] * centred[:-shift]).mean() * 4
        assert max(along.abs(), across.abs()) < deviations / (bits.numel() // 2) ** 0.5
    lengths = RandomBits(1, 1, 40, seed=0).__getitems__(range(40_000))["attention_mask"].sum(1)
    counts = torch.bincount(lengths, minlength=41)[1:]
    assert (counts - 1000).abs().max() < 5 * 1000**0.5


def test_words_are_splitmix64() -> None:
    # The published finaliser (Steele et al. 2014) in plain integers, on the same counters.
    def mix(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    gamma = 0x9E3779B97F4A7C15
    key = mix(9 + gamma)
    expected = [
        mix((mix((row * 0xD1342543DE82EF95 + key) % 2**64) + place * gamma) % 2**64)
        for row in (0, 3)
        for place in (1, 2)
    ]
    assert random_uint64(9, np.array([0, 3]), 2).reshape(-1).tolist() == expected


def test_given_bits() -> None:
    batch = GivenBits(["0110", "1"]).__getitems__([0, 1])
    assert batch["labels"].tolist() == [[0, 1, 0, 0], [1, IGNORED, IGNORED, IGNORED]]
    for wrong in ("", "012", " 1"):
        with pytest.raises(ValueError, match="string 2 is"):
            GivenBits(["0", wrong])


def test_strings_of_any_density_hold_long_runs_and_have_the_same_lengths() -> None:
    half, varied = (RandomBits(512, 5, 40, 1, density).__getitems__(range(512)) for density in ("half", "any"))
    assert torch.equal(half["attention_mask"], varied["attention_mask"])
    lengths = varied["attention_mask"].sum(1)
    shares = varied["input_ids"].sum(1) / lengths
    for low in (0, 0.25, 0.5, 0.75):
        assert 90 < ((shares >= low) & (shares < low + 0.25)).sum() < 170
    uniform = half["input_ids"].sum(1) / lengths
    assert ((uniform < 0.1) & (lengths > 20)).sum() == 0
    assert ((shares < 0.1) & (lengths > 20)).sum() > 10
    assert torch.equal(varied["labels"][0, : lengths[0]], varied["input_ids"][0, : lengths[0]].cumsum(0) % 2)
    shorter = RandomBits(512, 5, 5, 1, "any").__getitems__(range(512))["input_ids"]
    assert torch.equal(varied["input_ids"][:, :5], shorter)
