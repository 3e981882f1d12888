"""Hostile inputs in forked children: a few of each sort; benchmarks/reliability/fuzz.py tries thousands."""

import random
from pathlib import Path

import pytest
from helpers.hostile.children import run_child
from helpers.hostile.inputs import draw

import seqlight.command.trainer_cli  # noqa: F401  (children have it from here)


@pytest.mark.parametrize(
    ("what", "count"), [("checkpoint", 5), ("recipe", 2), ("flag", 2), ("file", 2), ("use", 4), ("sweep", 2)]
)
def test_hostile_inputs_are_taken_or_refused_in_one_line(
    run_folder: Path, tmp_path: Path, what: str, count: int
) -> None:
    seeds = {"mlp": Path()} if what == "file" else {"parity": run_folder / "checkpoints/last.ckpt"}
    for number in range(count):
        place = tmp_path / f"{what}-{number}"
        given = draw(what, place, seeds, random.Random(f"{what} {number}"))
        outcome = run_child(list(given.words), place, given.program)
        assert outcome.finding is None, (given, outcome)


def test_a_child_that_does_what_it_must_not_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    config = "{class_path: lightning.pytorch.profilers.SimpleProfiler, init_args: {dirpath: ../b, filename: x}}"
    words = ["fit", "--config=parity/lstm_last", f"--trainer.profiler={config}", "--trainer.max_epochs=0"]
    assert run_child(words, tmp_path / "a").finding is None  # refused: no epoch
    outcome = run_child(["sweep", "../../../../nowhere.yaml"], tmp_path / "a")
    assert (outcome.code, outcome.finding) == (2, None)
    outcome.deeds.append("writes ../b")
    assert outcome.finding == "did what it must not: writes ../b"
    outcome.deeds.clear()
    outcome.said = "Traceback (most recent call last):\n  File x\nKeyError: 3\n"
    assert outcome.finding == "KeyError: 3"
