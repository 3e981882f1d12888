"""Processes on several machines share a sweep through PostgreSQL: each its own folder, and a server between them."""

import csv
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import matplotlib
import optuna
import pytest
import sqlalchemy
import yaml
from conftest import ROOT, Run
from helpers.processes import postgres
from optuna.trial import TrialState

from seqlight.sweep import read_sweep
from seqlight.sweep.storage import database_url

pytestmark = pytest.mark.skipif(
    postgres.binaries() is None, reason="no PostgreSQL server here (initdb); Debian's is `apt-get install postgresql`"
)
MACHINES = 3  # one is killed, and the others share what is left
SWEEP = {
    "name": "shared",
    "config": ["parity/lstm_last"],
    "metric": "val/loss",
    "direction": "minimize",
    "test": False,
    "set": {
        "data.train_size": 64, "data.val_size": 16, "data.batch_size": 32, "model.net.hidden_size": 3,
        "trainer.max_steps": 2, "trainer.log_every_n_steps": 1, "trainer.accelerator": "cpu", "trainer.callbacks": [],
    },
    "grid": {"model.supervision": ["full", "last"], "seed_everything": [0, 1]},
    "report": {"columns": ["val/loss", "fit/steps"], "curve": "train/loss"},
}  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgres.server() as address:
        yield address


@pytest.fixture
def url(address: str, request: pytest.FixtureRequest) -> str:
    """A database of the test's own, with the password in the URL."""
    root = f"postgresql://postgres:{quote(postgres.PASSWORD, safe='')}@{address}"
    name = re.sub(r"\W", "_", request.node.name)[:50].lower()
    engine = sqlalchemy.create_engine(database_url(f"{root}/postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{root}/{name}"


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "shared.yaml").write_text(yaml.safe_dump(SWEEP))
    return str(tmp_path / "shared.yaml")


def trials(url: str) -> list[optuna.trial.FrozenTrial]:
    storage = optuna.storages.RDBStorage(database_url(url).render_as_string(hide_password=False))
    try:
        return optuna.load_study(study_name="shared", storage=storage).trials
    finally:
        storage.engine.dispose()


@contextmanager
def processes_on(folder: Path, *words: str) -> Iterator[list[subprocess.Popen[str]]]:
    """The command in several folders at once, as on machines without a common file system."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": matplotlib.get_cachedir()}
    command = [sys.executable, str(ROOT / "cli.py"), *words]
    processes = []
    for number in range(MACHINES):
        (folder / f"machine{number}").mkdir()
        processes.append(
            subprocess.Popen(
                command,
                cwd=folder / f"machine{number}",
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_processes_share_a_sweep_and_one_is_killed(tmp_path: Path, file: str, url: str) -> None:
    with processes_on(tmp_path, "sweep", file, "--storage", url, "--grace_period", "10") as processes:
        # The first process that has begun to train is killed: it has made its run's folder.
        killed = None
        while killed is None and all(process.poll() is None for process in processes):
            time.sleep(0.02)
            killed = next(
                (n for n in range(MACHINES) if list(tmp_path.glob(f"machine{n}/runs/sweeps/shared/2*"))), None
            )
        processes[killed or 0].kill()
        said = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [-9 if n == killed else 0 for n in range(MACHINES)], said

    combinations = read_sweep(file).combinations
    ended = trials(url)
    done = [trial.user_attrs["chosen"] for trial in ended if trial.state == TrialState.COMPLETE]
    assert len(done) == len(combinations)
    assert all(combination in done for combination in combinations)
    failed = [trial for trial in ended if trial.state == TrialState.FAIL]
    assert len(failed) == 1
    assert [trial.user_attrs.get("combination") for trial in ended].count(failed[0].user_attrs["combination"]) == 2
    assert sum(text.count("left]") for n, text in enumerate(said) if n != killed) == len(combinations)
    # Every machine has the same table, of all trials; the study holds the curves of the others' runs.
    living = [tmp_path / f"machine{n}/runs/sweeps/shared" for n in range(MACHINES) if n != killed]
    assert len({(folder / "table.md").read_text() for folder in living}) == 1
    for folder in living:
        rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
        assert len(rows) == len(combinations)
        assert (folder / "picture.png").stat().st_size > 1000
        assert {row["fit/steps"] for row in rows} == {"2"}
    assert all(
        len(trial.user_attrs["curves"]["train/loss"]) == 2 for trial in ended if trial.state == TrialState.COMPLETE
    )
    # Nothing that was printed or saved holds the password.
    saved = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (postgres.PASSWORD, quote(postgres.PASSWORD, safe="")):
        assert not any(secret in text for text in said)
        assert not any(secret.encode() in content for content in saved)


def test_a_report_needs_the_database_alone(run: Run, file: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqlight.sweep import runner

    monkeypatch.setattr(
        runner, "train", lambda _, chosen, trial: ({"val/loss": 0.5, "fit/steps": 2}, Path("elsewhere"))
    )
    first = run("sweep", file, "--storage", url)
    assert first.code == 0, first.err
    Path("machine2").mkdir()
    monkeypatch.chdir("machine2")
    reported = run("sweep", file, "--storage", url, "--report")
    assert reported.code == 0, reported.err
    assert "| full | 2 | 0.5 ± 0 (0.5 / 0.5 / 0.5) |" in reported.out
    assert Path("runs/sweeps/shared/picture.png").stat().st_size > 1000


def test_what_a_database_refuses_is_one_line_without_the_password(
    run: Run, file: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(storage: str) -> str:
        done = run("sweep", file, "--storage", storage)
        assert done.code == 2, done.out
        message, _, rest = done.err.partition("\n")
        assert rest == "  (--debug shows where)\n"
        assert "rse" not in message  # the password's end
        return message

    name, server = url.rpartition("/")[2], url.rpartition("@")[2].partition("/")[0]
    assert "Connection refused" in refused(url.replace(server, "127.0.0.1:1"))
    wrong = refused(url.replace("corre", "wrong"))
    assert f"storage postgresql://postgres:***@{server}/{name}: " in wrong
    assert "password authentication failed" in wrong
    assert "~/.pgpass or PGPASSWORD" in wrong
    assert "no password supplied" in refused(f"postgresql://postgres@{server}/{name}")
    assert "does not exist" in refused(f"{url}x")
    # The password from the environment; then another sweep of the same name, and tables of another Optuna.
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    assert (
        "no trial is done yet"
        in run("sweep", file, "--storage", url.replace(":" + quote(postgres.PASSWORD, safe=""), ""), "--report").err
    )
    other = {**SWEEP, "grid": {"model.net.hidden_size": [3, 4]}}
    Path(file).write_text(yaml.safe_dump(other))
    changed = refused(url)
    assert "grid was ['model.supervision', 'seed_everything'] in the trials there are" in changed
    assert f"and the study in postgresql://postgres:***@{server}/{name}" in changed
    engine = sqlalchemy.create_engine(database_url(url))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v3.0.0.a'"))
    engine.dispose()
    assert re.search(r"optuna version .* is no longer compatible .* optuna storage upgrade", refused(url))
