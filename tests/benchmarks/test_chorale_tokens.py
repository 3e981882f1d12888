"""Chorales as text: the grid of sixteenths, the published split, whole lines in each part."""

import random
import sys
from typing import Any

from conftest import ROOT

from datamodules.text.corpus import SplitConfig

sys.path.insert(0, str(ROOT / "benchmarks/studies"))

import chorale_tokens


def chorale(seed: int, quarters: int = 24) -> chorale_tokens.Frames:
    """Frames on sixteenths, four equal ones to a quarter."""
    generator = random.Random(seed)
    frames = [tuple(generator.randrange(low, low + 12) for low in (67, 60, 52, 41)) for _ in range(quarters)]
    return [frame for frame in frames for _ in range(4)]


def quarter_sets(frames: chorale_tokens.Frames, up: int = 0) -> list[list[int]]:
    return [sorted({pitch + up for pitch in frame}) for frame in frames[::4]]


def test_notes_fill_the_sixteenths_and_rests_are_told() -> None:
    parts = [[[0, 70, 12], [18, 72, 6]], [[0, 60, 24]], [[0, 55, 24]], [[6, 40, 18]]]
    assert chorale_tokens.voices(parts) == [(70, 60, 55, -1), (70, 60, 55, 40), (-1, 60, 55, 40), (72, 60, 55, 40)]
    assert chorale_tokens.line([(70, 60, 55, -1)], up=1) == "SID~\n"


def test_chorales_are_found_in_any_key_and_strangers_left_out() -> None:
    pieces = [chorale(seed) for seed in range(5)]
    quarters: dict[str, Any] = {
        "train": [quarter_sets(pieces[0], 3), quarter_sets(pieces[1])],
        "valid": [quarter_sets(pieces[2], -4)],
        "test": [quarter_sets(pieces[3])],
    }
    shorter = pieces[3][16:]  # the same chorale again, less alike
    found = chorale_tokens.by_split([shorter, *reversed(pieces)], quarters)
    assert found == {"train": [pieces[0], pieces[1]], "valid": [pieces[2]], "test": [pieces[3]]}


def test_every_split_of_the_text_has_whole_chorales() -> None:
    for sizes in [(3, 2, 1), (7, 1, 4), (1, 1, 1)]:
        seeds = iter(range(100))
        kept = {
            split: [chorale(next(seeds), 3 + next(seeds)) for _ in range(size)]
            for split, size in zip(chorale_tokens.SPLITS, sizes, strict=True)
        }
        text, val, test = chorale_tokens.text(kept)
        ranges = SplitConfig(val_fraction=float(f"{val:.10f}"), test_fraction=float(f"{test:.10f}")).ranges(len(text))
        parts = {split: text[slice(*ranges[split])] for split in ("train", "val", "test")}
        assert parts["val"] == "".join(map(chorale_tokens.line, kept["valid"]))
        assert parts["test"] == "".join(map(chorale_tokens.line, kept["test"]))
        assert parts["train"].count("\n") == 12 * sizes[0]
