"""The leak: a stretch of melody is found again in any key, and nowhere else."""

import json
import random
from pathlib import Path

import pytest
from conftest import ROOT

from datamodules.music.leaks import leaked, stretches
from datamodules.music.sources.jsb_files import Chorale, read_frames

PUBLISHED = ROOT.parent / "shared/data/jsb-chorales/jsb-chorales-quarter.json"


def tune(pitches: list[int | None]) -> Chorale:
    return Chorale("tune", tuple((40, pitch) if pitch else () for pitch in pitches))


def test_stretches_are_intervals_and_silence_breaks_them() -> None:
    assert stretches(tune([60, 62, 64, 60]), 2) == {(2, 2), (2, -4)}
    assert stretches(tune([60, 62, None, 64, 65, 65]), 2) == {(1, 0)}
    assert stretches(tune([60, 62]), 2) == set()
    with pytest.raises(ValueError, match=r"^intervals must be at least 1"):
        stretches(tune([60]), 0)


def test_a_planted_stretch_is_found_in_another_key_with_other_voices_and_one_interval_less_is_not() -> None:
    rng = random.Random(0)
    training = [tune([rng.randint(60, 80) for _ in range(50)]) for _ in range(5)]
    stretch = [frame[-1] + 3 for frame in training[2].frames[10:27]]  # 17 pitches: 16 intervals
    around = [rng.randint(60, 80) for _ in range(20)]
    assert leaked([tune(around), tune([*around, *stretch, *around])], training) == [False, True]
    assert leaked([tune([*around, *stretch[:-1], stretch[-1] + 1])], training) == [False]
    assert leaked([tune(around)], []) == [False]


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the JSB chorales are not here")
def test_the_published_list_is_what_the_rule_gives() -> None:
    published = json.loads((ROOT / "docs/results/music/jsb_clean_test.json").read_text())
    splits = read_frames(Path(PUBLISHED))
    flags = leaked(splits["test"], splits["train"])
    assert published["clean"] == [number for number, flag in enumerate(flags) if not flag]
    assert published["leaked"] == [number for number, flag in enumerate(flags) if flag]
    assert len(published["leaked"]) == 40
