"""Trials that Optuna's pruners stop: told as such, and not trained again."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
import yaml
from conftest import Run
from optuna.trial import TrialState, create_trial

from seq_modules.callbacks import BestCheckpoint
from seqlight.core.errors import UserError
from seqlight.sweep import Sweep
from seqlight.sweep.prune_trial import PruneTrial
from seqlight.sweep.study import count_left, is_superfluous, open_study

SETTINGS: dict[str, Any] = {
    "name": "early",
    "config": ["mlp/circles"],
    "metric": "val/loss",
    "direction": "minimize",
    "test": False,
    "pruner": {"name": "median", "n_startup_trials": 1},
    "set": {
        "data.points.size": 60, "trainer.max_epochs": 3, "trainer.log_every_n_steps": 1, "trainer.callbacks": [],
        "trainer.check_val_every_n_epoch": 1,
    },
    "grid": {"model.optim.learning_rate": [1e-3, 10.0]},
    "report": {"columns": ["val/loss"]},
}  # fmt: skip


@pytest.mark.parametrize("metric", ["val/loss", "test/loss"])
def test_a_bad_trial_is_stopped_and_told(run: Run, metric: str) -> None:
    own = {"metric": metric, "test": metric == "test/loss"}
    Path("early.yaml").write_text(yaml.safe_dump({**SETTINGS, **own}))
    done = run("sweep", "early.yaml")
    assert done.code == 0, done.err
    assert "[1 left] learning_rate 10.0: pruned at validation 1 (val/loss " in done.out
    rows = (line.split(" | ") for line in Path("runs/sweeps/early/table.md").read_text().splitlines())
    assert [row[1] for row in rows][2:] == ["1", "1 (1 pruned)"]
    with Path("runs/sweeps/early/trials.csv").open(newline="") as file:
        ends = [(row["end"], bool(row["val/loss"]), row["run"]) for row in csv.DictReader(file)]
    assert [end[:2] for end in ends] == [("complete", True), ("pruned", False)]
    assert not list(Path(ends[1][2]).glob("test"))
    again = run("sweep", "early.yaml")
    assert (again.code, "left]" in again.out, "not done" in again.out) == (0, False, False)


@pytest.mark.parametrize(
    ("metric", "direction", "reported"),
    [("val/accuracy", "maximize", 0.25), ("test/accuracy", "maximize", -0.5), ("test/loss", "minimize", 0.5)],
)
def test_what_is_reported_is_better_when_it_is_more_in_the_studys_direction(
    metric: str, direction: Any, reported: float
) -> None:
    told, sweep = [], Sweep("s", [], metric, direction=direction, grid={"a": [1]})
    trial: Any = SimpleNamespace(report=lambda value, step: told.append((value, step)), should_prune=lambda: True)
    metrics = {"val/loss": torch.tensor(0.5), "val/accuracy": torch.tensor(0.25)}
    trainer: Any = SimpleNamespace(
        sanity_checking=True, callback_metrics=metrics, callbacks=[BestCheckpoint()], should_stop=False
    )
    callback = PruneTrial(trial, sweep)
    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert not told
    trainer.sanity_checking = False
    trainer.callback_metrics = dict.fromkeys(metrics, torch.tensor(torch.nan))
    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert not told  # StopWhenDiverged ends such a training
    trainer.callback_metrics = metrics
    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
    assert told == [(reported, 2)]
    assert trainer.should_stop


def test_a_search_counts_the_trials_that_were_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Sweep("s", [], "m", search={"a": {"low": 0.0, "high": 1.0}}, trials=3, pruner="hyperband")
    study = open_study(sweep)
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)
    study.add_trial(create_trial(value=1.0, user_attrs={"chosen": {"a": 0.5}}))
    study.add_trial(create_trial(state=TrialState.PRUNED, user_attrs={"chosen": {"a": 0.1}}))
    study.add_trial(create_trial(state=TrialState.PRUNED))  # one that was left to another process
    assert count_left(sweep, study) == 1
    trial: Any = SimpleNamespace(number=4, study=study)
    assert not is_superfluous(sweep, trial)
    study.add_trial(create_trial(value=1.0, user_attrs={"chosen": {"a": 0.2}}))
    assert is_superfluous(sweep, trial)


def test_numbers_that_yaml_takes_for_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pruner = yaml.safe_load("{name: successive_halving, min_resource: auto, reduction_factor: 1e3}")
    assert pruner["reduction_factor"] == "1e3"
    study = open_study(Sweep("s", [], "m", grid={"a": [1]}, pruner=pruner))
    assert vars(study.pruner)["_reduction_factor"] == 1000


@pytest.mark.parametrize(
    ("pruner", "said"),
    [
        ("best", "sweep s: pruner must be one of 'median', 'successive_halving', 'hyperband', not 'best'"),
        ({"n_startup_trials": 3}, "sweep s: pruner has no name; there are median, successive_halving, hyperband"),
        ({"name": "median", "patience": 3}, "sweep s: pruner median: .*patience"),
        ({"name": "successive_halving", "reduction_factor": 1}, "pruner successive_halving: .*reduction_factor"),
    ],
)
def test_a_pruner_that_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pruner: Any, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        open_study(Sweep("s", [], "m", grid={"a": [1]}, pruner=pruner))
