"""Two processes do what one does, and a training goes from one to two and back: systems without a file of their own."""

from pathlib import Path

import pytest
from conftest import run_in
from helpers.processes.pair import two_processes
from helpers.processes.systems import TRAININGS, by_two, differences, first_by_one, last_by_one

TOLERANCE = 5e-6  # about ten times the largest difference in docs/results/machines/processes.md


ALIKE = {"perceptron, module", "music decoder, frames"}  # other nets, with optimisers and loaders of the others


@pytest.mark.parametrize("name", [name for name in TRAININGS if name not in ALIKE])
def test_two_processes_do_what_one_does(tmp_path: Path, name: str) -> None:
    two, changed = tmp_path / "two", tmp_path / "changed"
    for folder in (two, changed):
        folder.mkdir()
    for words in first_by_one(TRAININGS[name]):
        run_in(changed, *words)
    whole, resumed = by_two(TRAININGS[name])
    said = two_processes().run([(str(two), words) for words in whole] + [(str(changed), words) for words in resumed])
    assert [text.count("results: ") for text in said] == [len(whole) + len(resumed), 0]  # rank 0 alone speaks
    for words in last_by_one(TRAININGS[name], two):
        run_in(changed, *words)
    found = differences(two, changed)
    assert {kind: value for kind, value in found.items() if not value <= TOLERANCE} == {}
