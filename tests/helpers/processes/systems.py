"""Small trainings that one process and two must do alike, the commands of the comparison, and the differences."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seqlight.core.plots import read_metrics

DDP = "--config=trainer/ddp"
NUMBER = re.compile(r"-?[0-9.]+(e-?[0-9]+)?")
TIMED = ("seconds", "minutes", "time")  # metrics that no two trainings share


@dataclass(frozen=True)
class Training:
    """A training of two epochs without dropout; batches of which the last has an odd number of rows.

    Attributes:
        settings: Its recipe, and what makes it small.
        batch: Rows of a batch of all processes together.
        stops: Steps after which the other number of processes goes on: within the first epoch, and the second.
        predict: Words of ``predict``.
    """

    settings: tuple[str, ...]
    batch: int
    stops: tuple[int, int]
    predict: tuple[str, ...] = ()


MUSIC = ("--model.optim.schedule=constant", "--model.optim.warmup_steps=2", "--model.net.dropout=0")
MOONS = ("--config=mlp/moons", "--model.net.hidden_sizes=[6]", "--data.points.size=101")
TRAININGS = {
    "formal language": Training(
        ("--config=formal/cycle_navigation", "--model.net.rnn.hidden_size=6", "--data.max_length=12",
         "--data.train_size=77", "--data.val_size=37", "--data.test_size=41", "--data.test_max_length=50"),
        20, (2, 5), ('--data.strings=["+-0","++0++","-"]', "--data.batch_size=1"),
    ),
    "perceptron, module": Training((*MOONS, "--model.style=module"), 20, (2, 5)),
    "perceptron, numpy": Training((*MOONS, "--model.style=numpy"), 20, (2, 5)),
    "forecaster": Training(
        ("--config=forecast/gru", "--data.generated.num_rows=161", "--data.lookback=24", "--data.horizon=4",
         "--data.split.rows=[101,30,30]", "--model.net.rnn.hidden_size=8", "--model.optim.learning_rate=0.001",
         "--model.optim.schedule=constant", '--trainer.callbacks=[{"class_path":"ErrorByHorizon"}]'),
        16, (3, 8),
    ),
    "music decoder, notes": Training(
        ("--config=music/lstm", *MUSIC, "--model.net.d_model=16", "--model.net.rnn.hidden_size=16",
         "--model.net.rnn.dropout=0", "--model.ensemble_size=1", "--data.source.num_etudes=12", "--data.seq_len=24",
         "--data.windows.eval_seq_len=24", "--data.windows.epoch_size=21", "--data.tokens.voices=all"),
        8, (2, 5),
        ("--decoding.max_new_tokens=8", "--data.prompt.samples=3", "--data.batch_size=1",
         "--model.generation.stop_at_end=false"),
    ),
    "music decoder, frames": Training(
        ("--config=music/jsb_lstm", *MUSIC, "--model.net.hidden_size=16", "--model.frames.d_frame=16",
         "--model.frames.input_dropout=0", "--model.frames.frame_dropout=0", "--model.frames.retrieval_dropout=0",
         "--data.retrieved=4"),
        24, (2, 5), ("--decoding.max_new_tokens=8", "--data.samples=3", "--data.batch_size=1"),
    ),
}  # fmt: skip


def first_by_one(training: Training) -> list[list[str]]:
    """Commands for one process in the folder ``changed``: a training up to the first stop."""
    return [[*_fit(training, training.batch), f"--trainer.max_steps={training.stops[0]}"]]


def by_two(training: Training) -> tuple[list[list[str]], list[list[str]]]:
    """Commands for two processes: a whole training, test and prediction in the folder ``two``; in ``changed`` the
    training of :func:`first_by_one`, resumed up to the second stop."""
    half = training.batch // 2
    whole = [
        [*_fit(training, half), DDP],
        ["test", "--ckpt_path=last", DDP],
        ["predict", "--ckpt_path=last", DDP, *training.predict],
    ]
    return whole, [
        ["fit", "--ckpt_path=last", f"--trainer.max_steps={training.stops[1]}", f"--data.batch_size={half}", DDP]
    ]


def last_by_one(training: Training, two: Path) -> list[list[str]]:
    """Commands for one process in the folder ``changed``: the end of the training, and what two did with theirs.

    Args:
        training: The training.
        two: The folder ``two``.
    """
    checkpoint = f"--ckpt_path={_newest(two, 'last.ckpt')}"
    here = "--trainer.default_root_dir=runs"
    return [
        ["fit", "--ckpt_path=last", "--trainer.max_steps=-1", f"--data.batch_size={training.batch}"],
        ["test", checkpoint, here],
        ["predict", checkpoint, here, *training.predict],
    ]


def differences(two: Path, changed: Path) -> dict[str, float]:
    """Largest differences of the folders ``two`` and ``changed`` after all commands.

    Returns:
        That of losses and other metrics in training and validation ("metrics"), weights, moments of the optimiser,
        metrics and tables of the test ("test") and numbers of the predictions, both of JSON lines and of tables;
        relative for numbers above 1, except weights and moments.

    Raises:
        AssertionError: Something is there once alone, or a text differs.
    """
    found: dict[str, float] = {}
    curves = [_curves(folder, test=False) for folder in (two, changed)]
    # A training that is broken off validates its last weights, and the two are broken off at other steps.
    alone = [
        {place for place in curve if place[0].startswith("val/")} - other.keys()
        for curve, other in (curves, curves[::-1])
    ]
    assert all(len({step for _, step in places}) <= 2 for places in alone), alone
    curves = [
        {place: curve[place] for place in curve if place not in gone} for curve, gone in zip(curves, alone, strict=True)
    ]
    for name in ("train/loss", "val/loss"):
        steps = [[step for metric, step in each if metric == name] for each in curves]
        assert sorted(steps[0]) == sorted(steps[1]) != [], name
    found["metrics"] = max(_distance(value, curves[1][place]) for place, value in curves[0].items())
    contents = [torch.load(_newest(folder, "last.ckpt"), weights_only=True) for folder in (two, changed)]
    assert contents[0]["global_step"] == contents[1]["global_step"]
    for entry, values in (
        ("weights", [content["state_dict"] for content in contents]),
        ("moments", [content["optimizer_states"][0]["state"] for content in contents]),
    ):
        tensors = [dict(_tensors(value)) for value in values]
        assert tensors[0].keys() == tensors[1].keys() != set()
        found[entry] = max((tensors[1][name] - value).abs().max().item() for name, value in tensors[0].items())
    tests = [_curves(folder, test=True) for folder in (two, changed)]
    assert tests[0].keys() == tests[1].keys() != set()
    found["test"] = max(_distance(value, tests[1][place]) for place, value in tests[0].items())
    predicted = {"predictions.jsonl", *(path.name for path in two.rglob("*.csv"))} - {"metrics.csv"}
    rows = [[row for name in sorted(predicted) for row in _rows(_newest(folder, name))] for folder in (two, changed)]
    assert len(rows[0]) > len(predicted)
    found["predictions"] = max((_distance(a, b) for a, b in _pairs(rows[0], rows[1])), default=0.0)
    return found


def _fit(training: Training, batch: int) -> list[str]:
    return [
        "fit", *training.settings[:1], "--trainer.callbacks=[]", *training.settings[1:], f"--data.batch_size={batch}",
        "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
        "--experiment=training",
    ]  # fmt: skip


def _newest(folder: Path, name: str) -> Path:
    return max(folder.rglob(name), key=lambda path: path.stat().st_mtime_ns)


def _curves(folder: Path, test: bool) -> dict[tuple[str, int], float]:
    """Values of each metric at each step, of all runs of a folder together."""
    files = [path for path in folder.rglob("metrics.csv") if (path.parent.parent.name == "test") == test]
    return {
        (name, step): value
        for file in sorted(files, key=lambda path: path.stat().st_mtime_ns)
        for name, curve in read_metrics(file).items()
        for step, value in curve
        if not any(word in name for word in TIMED)
    }


def _rows(file: Path) -> list[Any]:
    """Rows of JSON lines, or of a table with its numbers as such."""
    lines = file.read_text().splitlines()
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in lines]
    return [[float(cell) if NUMBER.fullmatch(cell) else cell for cell in row] for row in csv.reader(lines)]


def _tensors(values: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of nested dicts, with the keys that lead to them."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _tensors(value, f"{name}.{key}")
    elif isinstance(values, torch.Tensor) and values.is_floating_point() and values.numel():
        yield name, values


def _pairs(one: Any, other: Any) -> Iterator[tuple[float, float]]:
    """Numbers that stand at the same place of two nested values, whose other parts are equal."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            yield from _pairs(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            yield from _pairs(a, b)
    elif isinstance(one, float):
        yield one, other
    else:
        assert one == other


def _distance(one: float, other: float) -> float:
    return abs(one - other) / max(1.0, abs(one))
