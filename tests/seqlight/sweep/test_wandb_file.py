"""Sweeps as files of W&B, and the commands that its agents make of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SMALL, Run
from helpers.commands.runs import newest
from helpers.loggers import WandbFile

from seqlight.core.errors import UserError
from seqlight.sweep import Sweep
from seqlight.sweep.wandb_file import wandb_settings, write_wandb_file

GRID: dict[str, Any] = {
    "name": "agents",
    "config": ["parity/lstm_last"],
    "metric": "val/loss",
    "direction": "minimize",
    "set": {**dict(word.removeprefix("--").split("=") for word in SMALL), "trainer.max_epochs": 1},
    "grid": {
        "model.optim.learning_rate": [1e-5], "trainer.inference_mode": [False], "trainer.max_steps": [2],
        "trainer.callbacks": [[]], "trainer.gradient_clip_val": [None], "config": ["trainer/cpu"],
    },
}  # fmt: skip


@pytest.mark.usefixtures("wandb_offline")
def test_an_agents_words_are_a_training(run: Run) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    Path("agents.yaml").write_text(yaml.safe_dump(GRID))
    done = run("sweep", "agents.yaml", "--to", "wandb")
    assert done.code == 0, done.err
    assert "next: wandb sweep runs/sweeps/agents/wandb.yaml" in done.out
    assert "seqlight test" in done.out
    held = yaml.safe_load(Path("runs/sweeps/agents/wandb.yaml").read_text())
    assert held["metric"] == {"name": "val/loss", "goal": "minimize"}
    # As wandb_agent.py does it.
    chosen = {name: {"value": space["values"][0]} for name, space in held["parameters"].items()}
    macros = {**create_sweep_command_args({"args": chosen}), "env": ["/usr/bin/env"], "program": [held["program"]]}
    words = [word for part in create_sweep_command(held["command"]) for word in macros.get(part[2:-1], [part])]
    assert words[:3] == ["/usr/bin/env", "seqlight", "fit"]
    done = run(*words[2:])
    assert done.code == 0, done.err
    folder = newest("config.yaml").parent
    assert folder.parent == Path("runs/sweeps/agents")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["init_args"]["optim"]["learning_rate"] == 1e-5
    kept = {name: config["trainer"][name] for name in ("max_steps", "callbacks", "gradient_clip_val", "inference_mode")}
    assert kept == {"max_steps": 2, "callbacks": [], "gradient_clip_val": None, "inference_mode": False}
    assert max(WandbFile(folder).metrics) == 1


@pytest.mark.parametrize(
    ("key", "space", "parameter"),
    [
        ("model.optim.learning_rate", {"low": 1e-3, "high": 1}, {"distribution": "uniform", "min": 1e-3, "max": 1.0}),
        (
            "model.optim.learning_rate",
            {"low": 1e-3, "high": 1e-1, "log": True},
            {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
        ),
        ("model.net.hidden_size", {"low": 4, "high": 32}, {"distribution": "int_uniform", "min": 4, "max": 32}),
        (
            "model.net.hidden_size",
            {"low": 4, "high": 32, "log": True},
            {"distribution": "q_log_uniform_values", "q": 1, "min": 4, "max": 32},
        ),
        ("model.net.hidden_size", {"low": 4, "high": 11, "step": 3}, {"values": [4, 7, 10]}),
        ("model.net.dropout", {"low": 0, "high": 0.5, "step": 0.25}, {"values": [0.0, 0.25, 0.5]}),
        ("model.net.cell", {"choices": ["rnn", None, ["a"]]}, {"values": ["rnn", "null", "[a]"]}),
    ],
)
def test_a_search_in_wandbs_terms(key: str, space: dict[str, Any], parameter: dict[str, Any]) -> None:
    sweep = Sweep("s", ["parity/lstm_last"], "val/loss", direction="minimize", search={key: space}, trials=7)
    settings = wandb_settings(sweep)
    assert settings["parameters"] == {key: parameter}
    assert (settings["method"], settings["run_cap"], settings["project"]) == ("bayes", 7, "seqlight")


@pytest.mark.parametrize(
    ("pruner", "early"),
    [
        (None, None),
        ("median", None),
        ("hyperband", {"type": "hyperband", "min_iter": 1, "eta": 3}),
        (
            {"name": "successive_halving", "min_resource": 2, "reduction_factor": 5},
            {"type": "hyperband", "min_iter": 2, "eta": 5},
        ),
    ],
)
def test_pruners_in_wandbs_terms(pruner: Any, early: Any) -> None:
    sweep = Sweep("s", ["parity/lstm_last"], "val/loss", direction="minimize", grid={"a": [1]}, pruner=pruner)
    settings = wandb_settings(sweep)
    assert settings.get("early_terminate") == early
    assert settings["metric"] == {"name": "val/loss", "goal": "minimize"}


def test_runs_are_not_stopped_early_by_a_metric_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Sweep("s", ["parity/lstm_last"], "test/loss", grid={"a": [1]}, pruner="hyperband")
    assert "does not log test/loss: the agents of W&B train every run to the end" in write_wandb_file(sweep)
    settings = yaml.safe_load((sweep.folder / "wandb.yaml").read_text())
    assert not {"metric", "early_terminate"} & set(settings)


def test_the_command_can_be_pasted_with_spaces_in_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = write_wandb_file(Sweep("two words", ["parity/lstm_last"], "val/loss", grid={"a": [1]}))
    assert said.endswith("next: wandb sweep 'runs/sweeps/two words/wandb.yaml'")


def test_a_search_needs_a_metric_of_the_training(tmp_path: Path) -> None:
    sweep = Sweep("s", ["parity/lstm_last"], "test/loss", search={"a": {"low": 0, "high": 1}})
    with pytest.raises(UserError, match="metric test/loss is not logged by a training"):
        wandb_settings(sweep)


def test_ones_own_overlay_decides_the_project(tmp_path: Path) -> None:
    logger = {"class_path": "lightning.pytorch.loggers.WandbLogger", "init_args": {"project": "memory"}}
    path = tmp_path / "team.yaml"
    path.write_text(yaml.safe_dump({"trainer": {"logger": [logger]}}))
    settings = wandb_settings(
        Sweep("s", ["parity/lstm_last", str(path), "{trainer: {max_steps: 2}}"], "val/loss", grid={"a": [1]})
    )
    assert settings["project"] == "memory"
    assert not any("logger/wandb" in word for word in settings["command"])
