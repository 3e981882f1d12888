"""W&B's runs: kept offline if need be, gone on with by their id."""

from pathlib import Path
from typing import Any

import pytest

from seqlight.run_files.patient_loggers import patient
from seqlight.run_files.wandb_run import WandbRun, run_id


def test_a_run_that_wandb_cannot_be_told_of_is_kept_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    asked = []

    def init(mode: str | None = None, **kwargs: Any) -> Any:
        asked.append((mode, kwargs["settings"].init_timeout, kwargs["resume"]))
        if mode != "offline":
            raise wandb.errors.CommError("no network")
        return type("Run", (), {"log": lambda self, metrics: asked.append(("log", metrics)), "id": "1"})()

    monkeypatch.setattr(wandb, "init", init)
    # The command line gives None for every argument of wandb.init that nobody names.
    logger = patient(WandbRun, save_dir=str(tmp_path), settings=None, resume=None)
    with pytest.warns(UserWarning, match="W&B: no network; this run is kept offline"):
        logger.log_metrics({"a": 1.0}, 2)
    assert asked == [(None, 10, "allow"), ("offline", 10, "allow"), ("log", {"a": 1.0, "trainer/global_step": 2})]


def test_the_id_is_that_of_the_newest_files_in_the_folder(tmp_path: Path) -> None:
    assert run_id(tmp_path) is None
    for name in ("run-20261129_235959-first", "offline-run-20261130_000000-my-own", "latest-run", "run-x"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
    assert run_id(tmp_path) == "first"
    (tmp_path / "wandb/run-20261129_235959-first").rmdir()
    assert run_id(tmp_path) == "my-own"
