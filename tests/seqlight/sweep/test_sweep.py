"""Sweeps: every combination once, gone on with after a break, shared by processes; the table says what the runs did."""

import csv
import itertools
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml
from conftest import ROOT, Run

from seqlight.core.errors import UserError
from seqlight.sweep import Sweep, read_sweep, runner
from seqlight.sweep.report import group, spread, write_report
from seqlight.sweep.study import enqueue, open_study
from seqlight.sweep.sweep_file import Report, sweep_from

SETTINGS = {
    "name": "tiny",
    "config": ["parity/lstm_last"],
    "metric": "test/accuracy_last",
    "set": {
        "data.train_size": 64, "data.val_size": 16, "data.test_size": 16, "data.batch_size": 32,
        "model.net.hidden_size": 3, "trainer.max_epochs": 1, "trainer.log_every_n_steps": 1, "trainer.callbacks": [],
    },
    "grid": {"model.supervision": ["full", "last"], "seed_everything": [0, 1]},
    "report": {
        "success": {"test/accuracy_last": 0.0}, "columns": ["val/loss", "solved/steps"], "curve": "train/loss",
    },
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SETTINGS))
    return path


def test_help_names_the_options_that_the_parser_takes(run: Run, file: Path) -> None:
    shown = run("sweep", "--help").out
    for option, value in (("--storage", "sqlite:///x"), ("--grace_period", "1"), ("--report", None)):
        assert option in shown
        done = run("sweep", str(file), option, *([value] if value else []))
        assert done.code == 2
        assert "unrecognized" not in done.err
    assert "unrecognized arguments: --storag" in run("sweep", str(file), "--storag=x").err


def test_a_sweep_runs_each_combination_once_and_reports(run: Run, file: Path) -> None:
    done = run("sweep", str(file))
    assert done.code == 0, done.err
    folder = Path("runs/sweeps/tiny")
    with (folder / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["model.supervision"], row["seed_everything"]) for row in rows] == [
        ("full", "0"), ("last", "0"), ("full", "1"), ("last", "1"),
    ]  # fmt: skip
    for row in rows:  # what the table holds is what the run wrote
        config = yaml.safe_load((Path(row["run"]) / "config.yaml").read_text())
        assert config["model"]["init_args"]["supervision"] == row["model.supervision"]
        assert config["seed_everything"] == int(row["seed_everything"])
    table = (folder / "table.md").read_text()
    full = next(line for line in table.splitlines() if line.startswith("| full"))
    losses = [float(row["val/loss"]) for row in rows if row["model.supervision"] == "full"]
    assert full.split(" | ")[1:4] == ["2", "2 of 2", spread(losses)]
    assert "- |" in full  # never solved: no steps
    assert (folder / "picture.png").stat().st_size > 1000
    # Nothing is left: the second call trains nothing and gives the same table.
    again = run("sweep", str(file))
    assert again.code == 0
    assert "left]" not in again.out
    assert (folder / "table.md").read_text() == table
    assert len(list(folder.glob("2*"))) == 4


def test_a_broken_off_sweep_goes_on(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, calls = runner.train, []

    def breaks(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "train", breaks)
    stopped = run("sweep", str(file))
    assert stopped.code == 130
    assert stopped.err.endswith(
        "sweep tiny: what is done is kept, and the same command goes on\nseqlight: stopped by Ctrl-C\n"
    )
    assert run("sweep", str(file)).code == 0
    assert len(calls) == 5  # four, and the one that broke again
    trials = open_study(read_sweep(str(file))).trials
    done = [t.user_attrs["chosen"] for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert len(done) == 4
    assert len({tuple(sorted(params.items())) for params in done}) == 4


def test_two_processes_share_a_sweep(run: Run, tmp_path: Path, file: Path) -> None:
    words = [sys.executable, str(ROOT / "cli.py"), "sweep", str(file)]
    other = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = tmp_path / "runs/sweeps/tiny"
    while not list(folder.glob("2*")) and other.poll() is None:
        time.sleep(0.02)
    done = run("sweep", str(file))  # while the other is at its first trial
    said = other.communicate(timeout=240)[0]
    assert (done.code, other.returncode) == (0, 0), done.err + said
    assert done.out.count("left]") + said.count("left]") == 4
    with (folder / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 4
    assert len({row["run"] for row in rows}) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"set": {**SETTINGS["set"], "model.net.hidden_size": 4}},
            r"set was .* and is now .*another name: or delete runs",
        ),
        ({"metric": "val/loss"}, "metric was 'test/accuracy_last' .* and is now 'val/loss'"),
        ({"config": ["parity/gru_last"]}, "config was"),
        ({"grid": {"model.supervision": ["full", "last"], "seed_everything": [0, 1, 2]}}, None),  # it grows
        (
            {"grid": {"model.net.cell": ["rnn", "lstm"]}},
            r"grid was \['model.supervision', 'seed_everything'\] .* is now",
        ),
        ({"report": {"columns": []}}, None),
    ],
)
def test_a_changed_file_of_the_same_name_does_not_mix_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    before, after = (sweep_from({**SETTINGS, **own}, "sweep") for own in ({}, change))
    open_study(before)
    if said is None:
        open_study(after)
        return
    with pytest.raises(UserError, match=said):
        open_study(after)


def test_repetitions_go_round_before_a_setting_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = Sweep(name="order", config=[], metric="m", grid={"a": [1, 2], "seed_everything": [0, 1], "b": [None, "x"]})
    study = open_study(sweep)
    for _ in range(2):
        enqueue(sweep, study, sweep.combinations)
    combinations = [trial.user_attrs["combination"] for trial in study.trials]
    assert len(combinations) == 8
    assert [c["seed_everything"] for c in combinations] == [0] * 4 + [1] * 4


def test_a_row_may_be_the_mean_over_several_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grid = {"net": ["a", "b"], "fold": [1, 2], "seed_everything": [0, 1]}
    sweep = Sweep(
        name="folds", config=[], metric="m", grid=grid, seeds=["fold", "seed_everything"], report=Report(columns=["m"])
    )
    sweep.folder.mkdir(parents=True)
    trials = [
        {
            "net": net,
            "fold": fold,
            "seed_everything": seed,
            "metrics": {"m": fold + 10.0 * seed},
            "run": "r",
            "seconds": 1,
        }
        for net, fold, seed in itertools.product("ab", (1, 2), (0, 1))
    ]
    rows = write_report(sweep, trials).splitlines()
    assert rows[2:] == [f"| {net} | 4 | {spread([1.0, 2.0, 11.0, 12.0])} |" for net in "ab"]
    with (sweep.folder / "trials.csv").open(newline="") as file:
        assert [row["fold"] for row in csv.DictReader(file)] == ["1", "1", "2", "2"] * 2


def test_a_trial_takes_one_process(run: Run, tmp_path: Path) -> None:
    content = {**SETTINGS, "config": ["parity/lstm_last", "trainer/ddp"], "grid": {"seed_everything": [0, 1]}}
    (tmp_path / "ddp.yaml").write_text(yaml.safe_dump(content))
    done = run("sweep", "ddp.yaml")
    assert done.code == 0, done.err
    assert done.out.count("left]") == 2


def test_search_samples_within_its_bounds(run: Run, tmp_path: Path) -> None:
    content = {k: v for k, v in SETTINGS.items() if k not in ("grid", "report")}
    content |= {
        "search": {"model.optim.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}},
        "trials": 2,
        "name": "search",
    }
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(content))
    done = run("sweep", "search.yaml")
    assert done.code == 0, done.err
    with Path("runs/sweeps/search/trials.csv").open(newline="") as stream:
        rates = [float(row["model.optim.learning_rate"]) for row in csv.DictReader(stream)]
    assert len(set(rates)) == 2
    assert all(1e-3 <= rate <= 1e-1 for rate in rates)


def test_a_metric_that_no_run_logs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**SETTINGS, "metric": "test/nothing"}))
    refused = run("sweep", "bad.yaml")
    assert refused.code == 2
    assert "test/nothing is not logged; there are" in refused.err
    assert run("sweep", "none.yaml").code == 2
    assert run("sweep").code == 2


def test_a_training_without_a_validation_has_nothing_to_test(run: Run, tmp_path: Path) -> None:
    path, short = tmp_path / "short.yaml", {"trainer.max_epochs": 1, "trainer.limit_val_batches": 0}
    settings = {**SETTINGS, "name": "short", "grid": {"seed_everything": [0]}, "set": {**SETTINGS["set"], **short}}
    path.write_text(yaml.safe_dump(settings))
    refused = run("sweep", str(path))
    assert refused.code == 2
    assert refused.err.startswith("seqlight: error: sweep short: the training made no validation with a finite loss")
    assert "Traceback" not in refused.err


def test_trials_that_a_shrunken_grid_no_longer_asks_for_come_last() -> None:
    sweep = Sweep("s", ["parity/lstm_last"], "m", grid={"config": ["b", "a"], "size": [8]})
    trials = [{"config": config, "size": size, "metrics": {}} for config in ("c", "a", "b") for size in (16, 8)]
    groups = group(trials, ["config", "size"], sweep)
    assert list(groups) == [("b", 8), ("b", 16), ("a", 8), ("a", 16), ("c", 8), ("c", 16)]
