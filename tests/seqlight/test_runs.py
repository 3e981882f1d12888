"""Folders of runs, where loggers write, and what to run next."""

import socket
import subprocess
from pathlib import Path

import pytest
from lightning.pytorch.cli import Namespace

from seqlight.core.errors import UserError
from seqlight.runs import METRICS_CSV, make_unique, new_run_folder, next_command, point_loggers


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_run_has_a_folder_of_its_own() -> None:
    folders = [make_unique(Path("runs/a"), "now") for _ in range(3)]
    assert [folder.name for folder in folders] == ["now", "now_2", "now_3"]


def test_where_the_folder_lies() -> None:
    assert new_run_folder("runs", "a/b", "fit", None).parent == Path("runs/a/b")
    checkpoint = "runs/a/b/one/checkpoints/best.ckpt"
    assert new_run_folder("runs", "a/b", "test", checkpoint).parent == Path("runs/a/b/one/test")
    assert new_run_folder("runs", "a/b", "test", "sent.ckpt").parent == Path("runs/a/b/test")


def test_what_a_killed_run_left_half_written_is_removed() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    mark = f"{socket.gethostname()}-{ended.pid}.part"
    names = [f"checkpoints/.last.ckpt.{mark}", f".metrics.csv.{mark}"]
    x, y = ([Path("runs/a", run, name) for name in names] for run in "xy")
    y += [Path(f"runs/a/.table.md.{mark}"), Path(f"runs/a/y/test/now/.metrics.csv.{mark}")]
    for part in (*x, *y):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    new_run_folder("runs", "b", "fit", "runs/a/x/checkpoints/last.ckpt")
    assert [part.exists() for part in (*x, *y)] == [False] * 2 + [True] * 4
    new_run_folder("runs", "a", "fit", None)
    assert not any(part.exists() for part in y)


@pytest.mark.parametrize("experiment", ["/tmp/x", "../x", "a/../../x"])
def test_no_folder_outside_the_runs(experiment: str) -> None:
    with pytest.raises(UserError, match="a path below runs/"):
        new_run_folder("runs", experiment, "fit", None)


PLACE = Namespace(save_dir="x", name=None, version=None)


@pytest.mark.parametrize("logger", [True, None, [Namespace(class_path="x.TensorBoardLogger", init_args=PLACE)]])
def test_a_csv_logger_comes_first_and_writes_every_row(logger: object) -> None:
    trainer = Namespace(logger=logger)
    point_loggers(trainer, Path("runs/a/now"))
    first, *others = trainer.logger
    assert first.class_path == METRICS_CSV
    assert len(others) == isinstance(logger, list)
    for each in trainer.logger:
        assert (each.init_args.save_dir, each.init_args.name, each.init_args.version) == ("runs", "a", "now")
    assert first.init_args.flush_logs_every_n_steps == 1
    assert trainer.default_root_dir == "runs/a/now"


def test_a_logger_without_arguments_is_left_as_it_is() -> None:
    trainer = Namespace(logger=[Namespace(class_path="x.Logger")])
    point_loggers(trainer, Path("runs/a/now"))
    assert trainer.logger[1] == Namespace(class_path="x.Logger")


def test_no_logger_is_no_logger() -> None:
    trainer = Namespace(logger=False)
    point_loggers(trainer, Path("runs/a/now"))
    assert trainer.logger is False


def test_what_to_run_next() -> None:
    folder = Path("my runs/a")
    assert next_command("fit", folder, None) == "a run with validation, whose best.ckpt can be tested"
    assert "--ckpt_path last.ckpt --trainer.max_epochs MORE" in next_command("fit", folder, "last.ckpt")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/best.ckpt").touch()
    assert next_command("fit", folder, None) == "seqlight test --ckpt_path 'my runs/a'"
    named = " --model mine.Net"
    assert next_command("test", folder, "a b.ckpt", named) == "seqlight predict --ckpt_path 'a b.ckpt' --model mine.Net"
