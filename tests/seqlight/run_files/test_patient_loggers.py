"""Loggers that raise errors, or lack a package, cost a line each and no run."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMALL, Run
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger

from seqlight.run_files.patient_loggers import patient


class Broken(Logger):
    """Raises an error in all that it is asked to do."""

    name, version = "broken", "0"

    @property
    def experiment(self) -> Any:
        raise OSError("no place")

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        raise ValueError("not today")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        raise KeyError("nor this")

    def finalize(self, status: str) -> None:
        raise RuntimeError("never")


class Lacking(Logger):
    """Wants a package that is not there."""

    name, version = "lacking", "0"

    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'abacus'")

    def log_metrics(self, metrics: Any, step: int | None = None) -> None: ...

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...


def test_each_method_is_told_of_once() -> None:
    logger = patient(Broken)
    assert isinstance(logger, Broken)
    with pytest.warns(UserWarning, match=r"Broken: log_metrics has failed \(not today\); the run goes on"):
        logger.log_metrics({"a": 1.0}, 0)
    logger.log_metrics({"a": 1.0}, 1)  # a second warning would be an error
    with pytest.warns(UserWarning, match=r"experiment has failed \(no place\)"):
        assert logger.experiment.add_figure("a", 3) is not None
    logger.experiment.config.update({"a": 1})  # nothing, without another word


def test_methods_of_a_loggers_own_object_are_forgiven(tmp_path: Path) -> None:
    logger: Any = patient(TensorBoardLogger, save_dir=str(tmp_path))
    logger.log_metrics({"a": 1.0}, 0)
    with pytest.warns(UserWarning, match="TensorBoardLogger: add_figure has failed"):
        logger.experiment.add_figure("a", "no figure", 0)
    assert list(tmp_path.rglob("events*"))
    logger.experiment.close()


def test_a_missing_package_leaves_the_logger_out() -> None:
    with pytest.warns(UserWarning, match="Lacking: No module named 'abacus'; it is left out"):
        assert isinstance(patient(Lacking), DummyLogger)


def test_the_table_of_metrics_is_not_forgiven(tmp_path: Path) -> None:
    assert type(patient(CSVLogger, save_dir=str(tmp_path))) is CSVLogger


def test_a_training_and_a_test_go_on_with_a_broken_logger(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "--trainer.logger=[{class_path: test_patient_loggers.Broken}]"
    monkeypatch.setitem(sys.modules, "test_patient_loggers", sys.modules[__name__])
    words = ("--config=parity/lstm_last", *SMALL, "--trainer.max_epochs=1")
    for command, method in ((("fit", *words), "log_metrics"), (("test", "--ckpt_path=last"), "log_hyperparams")):
        with pytest.warns(UserWarning, match="^Broken: ") as told:
            done = run(*command, "--trainer.callbacks=[]", broken)
        assert done.code == 0, done.err
        assert sum(f"Broken: {method} has failed" in str(warning.message) for warning in told) == 1
    (rows,) = Path("runs/parity/lstm_last").glob("*/test/*/metrics.csv")
    header, row = (line.split(",") for line in rows.read_text().splitlines())
    saved = torch.load(next(Path("runs").rglob("last.ckpt")), weights_only=True)
    assert dict(zip(header, row, strict=True))["step"] == str(saved["global_step"])
