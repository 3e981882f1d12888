"""The journal's heartbeat; PostgreSQL addresses. The database itself: tests/distributed/test_postgres_sweep.py."""

import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import Run
from helpers.disks import full_disk
from optuna.trial import TrialState

from seqlight.command.precision import fastest
from seqlight.core import hardware
from seqlight.core.errors import Diverged, UserError, WritingError
from seqlight.sweep import Sweep, runner
from seqlight.sweep.storage import database_url, shown
from seqlight.sweep.study import MOST_KILLED, enqueue, enqueue_killed, open_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),  # of the heartbeat
    pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used"),  # a trial asked for is another's
]
GRACE = 60


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.chdir(tmp_path)
    return Sweep(name="tiny", config=[], metric="m", grid={"a": [1, 2, 3]})


def filled(sweep: Sweep) -> optuna.Study:
    study = open_study(sweep, GRACE)
    enqueue(sweep, study, sweep.combinations)
    return study


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def dead_process() -> int:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    return dead.pid


def test_the_lock_of_windows_works_too(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "symlink", None)  # which needs a right there
    assert states(filled(sweep)) == ["WAITING"] * 3


def test_processes_of_a_machine_go_by_one_measurement(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(sweep, GRACE)
    names = ["one", "one", "another", "one"]
    chosen = []
    monkeypatch.setattr(hardware, "CPU_BF16", True)
    for name, bf16 in zip(names, (30.0, 90.0, 90.0, 90.0), strict=True):
        monkeypatch.setattr(hardware, "known_rates", {})  # of a process that has just been started
        monkeypatch.setattr(hardware, "_rates_of_cpu", lambda bf16=bf16: hardware.Rates(30.0, bf16))
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        runner.share_rates(sweep, study)
        chosen.append(fastest("cpu")[0])
    assert chosen == ["32-true", "32-true", "bf16-mixed", "32-true"]


def test_a_killed_process_leaves_its_trial_to_the_next(sweep: Sweep) -> None:
    study = filled(sweep)
    study.ask().set_user_attr("heartbeat", [socket.gethostname(), dead_process(), time.time()])
    study.ask().set_user_attr("heartbeat", [socket.gethostname(), os.getpid(), 0.0])  # this one lives
    study.ask()  # it has just been taken
    optuna.storages.fail_stale_trials(study)
    for _ in range(2):  # as two processes may
        enqueue_killed(sweep, study)
    assert states(study) == ["FAIL", "RUNNING", "RUNNING", "WAITING"]
    assert study.trials[3].user_attrs == {"combination": {"a": 1}}


def test_a_trial_whose_process_was_killed_before_its_first_heartbeat(sweep: Sweep) -> None:
    study = filled(sweep)
    study.ask()
    log = sweep.folder / "study.log"
    log.write_text(re.sub(r'("datetime_start":")20\d\d', r"\g<1>2020", log.read_text()))
    study = open_study(sweep, GRACE)
    optuna.storages.fail_stale_trials(study)
    assert states(study) == ["FAIL", "WAITING", "WAITING"]


def test_another_machines_trial_is_taken_again_when_it_falls_silent(sweep: Sweep) -> None:
    study = filled(sweep)
    for age in (5, GRACE + 5):
        study.ask().set_user_attr("heartbeat", ["another machine", 1, time.time() - age])
    optuna.storages.fail_stale_trials(study)
    enqueue_killed(sweep, study)
    assert states(study) == ["RUNNING", "FAIL", "WAITING", "WAITING"]
    assert study.trials[3].user_attrs == {"combination": {"a": 2}}


def test_a_trial_that_kills_each_process_is_left_out(sweep: Sweep) -> None:
    sweep.grid = {"a": [1]}
    study = filled(sweep)
    for _ in range(MOST_KILLED):
        study.ask().set_user_attr("heartbeat", [socket.gethostname(), dead_process(), time.time()])
        optuna.storages.fail_stale_trials(study)
        enqueue_killed(sweep, study)
    assert states(study) == ["FAIL"] * MOST_KILLED
    enqueue(sweep, study, sweep.combinations)  # until the command is given anew
    assert states(study)[-1] == "WAITING"


def test_a_running_trial_gives_signs_of_life(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(sweep, grace_period=5)  # a heartbeat a second
    enqueue(sweep, study, sweep.combinations)
    seen = []

    def trial_of_seconds(trial: optuna.Trial) -> float:
        for _ in range(2):
            time.sleep(1.2)
            seen.append(study.trials[0].user_attrs["heartbeat"])
        return 0.0

    study.optimize(trial_of_seconds, n_trials=1)
    assert [beat[:2] for beat in seen] == [[socket.gethostname(), os.getpid()]] * 2
    assert seen[0][2] < seen[1][2] <= time.time()


def test_a_process_that_was_taken_for_dead_drops_its_result_and_goes_on(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = filled(sweep)
    calls = []

    def sleeps(_: Sweep, chosen: dict[str, int], trial: optuna.Trial) -> tuple[dict[str, float], Path]:
        calls.append(chosen)
        if len(calls) == 1:  # another process finds the trial silent, and queues it again
            study.tell(0, state=TrialState.FAIL)
            enqueue(sweep, study, [chosen])
        return {"m": float(chosen["a"])}, Path("run")

    monkeypatch.setattr(runner, "train", sleeps)
    runner.run(sweep, study)
    assert [chosen["a"] for chosen in calls] == [1, 2, 3, 1]
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert "its trial went to another process" in capsys.readouterr().out


def test_the_last_process_waits_for_the_others_trials(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = filled(sweep)
    study.ask().set_user_attr("heartbeat", ["another machine", 1, time.time()])
    monkeypatch.setattr(runner, "train", lambda _, chosen, trial: ({"m": 1.0}, Path("run")))

    def the_other_dies(_: float) -> None:
        study._storage.set_trial_user_attr(0, "heartbeat", ["another machine", 1, time.time() - GRACE - 1])

    monkeypatch.setattr(time, "sleep", the_other_dies)
    runner.run(sweep, study)
    assert states(study) == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert "waiting for 1 trials of other processes" in capsys.readouterr().out


def test_a_trial_that_failed_by_its_settings_is_left_to_the_next_command(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = filled(sweep)

    def refuses_two(_: Sweep, chosen: dict[str, int], trial: optuna.Trial) -> tuple[dict[str, float], Path]:
        if chosen["a"] == 2:
            raise SystemExit(2)
        return {"m": 1.0}, Path("run")

    monkeypatch.setattr(runner, "train", refuses_two)
    with pytest.raises(UserError, match=r"the settings \{'a': 2\} were refused"):
        runner.run(sweep, study)
    runner.run(sweep, study)  # another process does the rest
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "1 are not done" in runner.report(sweep, study)


def test_waiting_trials_that_the_grid_has_lost_are_not_run(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study, trained = filled(sweep), []

    def train(_: Sweep, chosen: dict[str, int], trial: optuna.Trial) -> tuple[dict[str, float], Path]:
        trained.append(chosen["a"])
        return {"m": 1.0}, Path("run")

    monkeypatch.setattr(runner, "train", train)
    for values, done in (([2], [2]), ([1, 2], [2, 1]), ([1, 2, 3], [2, 1, 3])):
        now = dataclasses.replace(sweep, grid={"a": values})
        enqueue(now, study, now.combinations)
        runner.run(now, study)
        assert trained == done
    assert "not done" not in runner.report(sweep, study)


def test_a_search_that_is_given_fewer_trials_than_it_has_had_ends(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = dataclasses.replace(sweep, grid={}, search={"a": {"low": 0.0, "high": 1.0}}, trials=3)
    study = open_study(search, GRACE)
    monkeypatch.setattr(runner, "train", lambda *_: ({"m": 1.0}, Path("run")))
    runner.run(search, study)
    monkeypatch.setattr(runner, "take_one", lambda *_: pytest.fail("a trial is taken"))
    fewer = dataclasses.replace(search, trials=2)
    runner.run(fewer, study)
    assert "not done" not in runner.report(fewer, study)


def test_a_run_that_diverged_is_the_worst_and_is_done(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study = filled(sweep)
    monkeypatch.setattr(runner, "train", lambda _, chosen, trial: ({"m": float("nan")}, Path("run")))
    runner.run(sweep, study)
    assert [trial.value for trial in study.trials] == [float("-inf")] * 3


def diverges(_: Sweep, chosen: dict[str, Any], trial: optuna.Trial) -> Any:
    raise Diverged("training has diverged", Path("run"))


def test_trials_that_diverge_are_done_and_shown(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study = filled(sweep)
    monkeypatch.setattr(runner, "train", diverges)
    runner.run(sweep, study)
    assert [trial.value for trial in study.trials] == [float("-inf")] * 3
    assert "| 1 (1 diverged) |" in runner.report(sweep, study)


def test_a_search_that_diverges_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    search = {"model.input_noise": {"low": 0, "high": 1}, "model.supervision": {"choices": [["a"], "full"]}}
    sweep = Sweep("search", ["parity/lstm_last"], "m", direction="minimize", search=search, trials=3)
    monkeypatch.setattr(runner, "train", diverges)
    study = open_study(sweep)
    runner.run(sweep, study)
    assert [trial.value for trial in study.trials] == [float("inf")] * 3
    chosen = [trial.user_attrs["chosen"] for trial in study.trials]
    assert any(values["model.input_noise"] not in (0, 1) for values in chosen)
    assert all(values["model.supervision"] in (["a"], "full") for values in chosen)
    assert capsys.readouterr().out.count("diverged") == 3


def test_a_full_disk_leaves_no_half_line(sweep: Sweep) -> None:
    study, log = open_study(sweep, GRACE), sweep.folder / "study.log"
    before = log.read_text()
    said = r"runs/sweeps/tiny/study\.log cannot be written .*; a limit"
    with full_disk(len(before) + 20):
        with pytest.raises(WritingError, match=said):
            enqueue(sweep, study, sweep.combinations)
        assert log.read_text() == before
        study._storage.record_heartbeat(0)  # type: ignore[attr-defined]  # a sign of life is left out
    with log.open("a") as file:
        file.write('{"op_code":')  # of a machine that lost its power
    assert states(filled(sweep)) == ["WAITING"] * 3


@pytest.mark.parametrize("content", ["\0\n{}\n", '{"op_code":99,"worker_id":""}\n', "[3]\n", "\n", "}\n"])
def test_a_damaged_file_is_named(sweep: Sweep, content: str) -> None:
    sweep.folder.mkdir(parents=True)
    (sweep.folder / "study.log").write_text(content)
    with pytest.raises(UserError, match=r"runs/sweeps/tiny/study\.log: is damaged"):
        open_study(sweep, GRACE)


def test_a_sweep_on_a_full_disk_and_where_no_folder_can_be_made(run: Run) -> None:
    Path("tiny.yaml").write_text("{name: tiny, config: [parity/lstm_last], metric: m, grid: {seed_everything: [1]}}")
    with full_disk(100):
        done = run("sweep", "tiny.yaml")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("seqlight: error: runs/sweeps/tiny/study.log cannot be written (")
    assert not Path("runs/sweeps/tiny/study.log").read_bytes()
    Path("runs").rename("elsewhere")
    Path("runs").touch()
    done = run("sweep", "tiny.yaml")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "a file is in the place of a folder; run the command in another folder" in done.err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a heartbeat
def test_a_sweep_whose_folder_is_taken_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tiny.yaml").write_text("{name: tiny, config: [parity/lstm_last], metric: m, grid: {seed_everything: [1]}}")

    def loses_its_folder(sweep: Sweep, *_: object) -> tuple[dict[str, float], Path]:
        shutil.rmtree(sweep.folder)
        return {"m": 1.0}, Path("run")

    monkeypatch.setattr(runner, "train", loses_its_folder)
    done = run("sweep", "tiny.yaml")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "runs/sweeps/tiny/study.log cannot be written" in done.err
    assert "its folder is gone; make it again and repeat the command" in done.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("secret", "no URL; it must be postgresql://"),
        ("postgresql://anna:secret@host:port/sweeps", "no URL"),
        ("sqlite:///secret.db", "PostgreSQL database, postgresql://USER@HOST:PORT/DATABASE, and not sqlite"),
        ("postgresql://anna:se@cret@host/sweeps", "must be written %40"),
    ],
)
def test_an_address_is_refused_without_repeating_its_password(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        database_url(url)
    assert "cret" not in str(refused.value)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match=r"pip install 'seqlight\[postgres\]'"):
        database_url("postgresql://host/sweeps")


def test_an_address_is_shown_without_its_password() -> None:
    url = "postgres://anna:se%40cret@host:5433/sweeps?sslmode=require"
    assert database_url(url).password == "se@cret"
    assert database_url(url).query == {"connect_timeout": "10", "sslmode": "require"}
    assert shown(url) == "postgresql://anna:***@host:5433/sweeps"


def test_a_heartbeat_does_not_depend_on_the_working_directory(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    study = filled(sweep)
    trial = study.ask()
    monkeypatch.chdir("/")
    study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
    assert study.trials[trial.number].user_attrs["heartbeat"][1] == os.getpid()
