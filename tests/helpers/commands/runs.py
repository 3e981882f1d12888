"""Whole commands in tests: what they left, interrupted and resumed ones, and ones run by two processes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.processes.pair import two_processes
from helpers.toy_text import SignalAt
from lightning.pytorch import Trainer

from seq_modules.callbacks import RNGState
from seq_modules.callbacks.training.ema import KEY
from seqlight.core.plots import read_metrics

# The settings of a small GPT in a command: a second or two of training.
SMALL_GPT = (
    "--config=text/gpt_char", "--model.net.d_model=16", "--model.net.num_layers=1", "--model.net.num_heads=2",
    "--data.seq_len=32", "--data.batch_size=8", "--data.windows.epoch_size=24", "--data.cache_dir=cache",
    "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--trainer.accelerator=cpu",
)  # fmt: skip
LINES = "".join(f"{word} went to the {place}.\n" for word in ("he", "she", "the dog") for place in ("sea", "hill")) * 40


def newest(name: str, folder: Path | None = None) -> Path:
    """The newest file of that name (or pattern) under a folder, by default the working directory."""
    return max((folder or Path()).rglob(name), key=lambda path: path.stat().st_mtime_ns)


def predictions() -> list[dict[str, Any]]:
    """The rows of the newest prediction."""
    return [json.loads(line) for line in newest("predictions.jsonl").read_text().split("\n") if line]


def fit(run: Run, *words: str) -> Path:
    """Trains, perhaps until a signal; returns the run's folder."""
    done = run("fit", *words)
    assert done.code in (0, 143), done.err
    return newest("last.ckpt").parents[1]


@contextmanager
def signal_at(monkeypatch: pytest.MonkeyPatch, step: int) -> Iterator[None]:
    """A signal in the middle of training, as Ctrl-C sends one."""
    start = RNGState.on_train_start

    def with_signal(self: RNGState, trainer: Trainer, pl_module: Any) -> None:
        start(self, trainer, pl_module)
        trainer.callbacks.append(SignalAt(step))  # type: ignore[attr-defined]

    with monkeypatch.context() as patch:
        patch.setattr(RNGState, "on_train_start", with_signal)
        yield


def assert_same_training(one: Path, other: Path) -> None:
    """Two runs' last checkpoints hold the same: averaged weights, training weights and the optimiser's moments."""
    contents = [torch.load(folder / "checkpoints/last.ckpt", weights_only=True) for folder in (one, other)]
    for entry in ("state_dict", KEY):
        for name, value in contents[0][entry].items():
            assert torch.equal(value, contents[1][entry][name]), (entry, name)
    moments = [content["optimizer_states"][0]["state"] for content in contents]
    assert moments[0].keys() == moments[1].keys()
    for key, state in moments[0].items():
        assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(moments[1][key][n])) for n, v in state.items())


def by_two_processes(folder: Path, *series: Sequence[Sequence[str]]) -> None:
    """Runs commands, each by two processes, of which the first alone says where the results lie.

    Args:
        folder: Where the first series runs; of several, each runs in a subfolder of its number, from 0 on.
        series: Commands, one after the other.
    """
    folders = [folder / str(number) for number in range(len(series))] if len(series) > 1 else [folder]
    for each in folders:
        each.mkdir(parents=True, exist_ok=True)
    commands = [(str(each), words) for each, several in zip(folders, series, strict=True) for words in several]
    said = two_processes().run(commands)
    assert [text.count("results: ") for text in said] == [len(commands), 0]


def without_final_validation(
    points: Sequence[tuple[int, float]], whole: Sequence[tuple[int, float]]
) -> list[tuple[int, float]]:
    """A metric's points (step, value) without the last, if that is of a validation which the whole training lacks.

    A training that ends in the middle of an epoch validates its last weights.
    """
    return list(points[:-1] if points and points[-1][0] not in dict(whole) else points)


def assert_metrics_of(whole: Path, parts: Path, names: Sequence[str], tolerance: float) -> tuple[Path, Path]:
    """A training that was broken off and resumed has the metrics of a whole one, at the same steps.

    Args:
        whole: The whole training's run.
        parts: A folder with the runs of the two others.
        names: The metrics.
        tolerance: By how much a value may differ.

    Returns:
        The last checkpoints of the first part and of the second.
    """
    begun, rest = sorted(parts.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    expected = read_metrics(whole / "metrics.csv")
    found = [read_metrics(path.parents[1] / "metrics.csv") for path in (begun, rest)]
    for name in names:
        found[0][name] = without_final_validation(found[0].get(name, []), expected[name])
        got = [point for part in found for point in part.get(name, [])]
        assert [step for step, _ in got] == [step for step, _ in expected[name]], name
        assert [value for _, value in got] == pytest.approx([value for _, value in expected[name]], abs=tolerance), name
    return begun, rest
