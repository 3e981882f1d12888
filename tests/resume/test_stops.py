"""Wherever a signal comes, the resumed training makes what the unbroken one would have made, and every row is kept."""

import contextlib
import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy import ToyData, ToyModule
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer, seed_everything

from seq_modules.callbacks import BestCheckpoint, FinalValidation, GracefulStop, LastCheckpoint, RNGState
from seqlight.core.errors import Stopped
from seqlight.run_files.atomic_checkpoint import AtomicCheckpointIO
from seqlight.run_files.metrics_csv import MetricsCSV

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
EPOCH = 10  # batches: 37 rows, 4 in a batch


class Events(Callback):
    """What happened, and a signal at the n-th batch of a kind."""

    def __init__(self, kind: str = "", number: int = 0, signum: int = signal.SIGTERM) -> None:
        self.kind, self.left, self.signum = kind, number, signum
        self.seen: list[tuple[Any, ...]] = []

    def _count(self, kind: str) -> None:
        self.left -= kind == self.kind
        if kind == self.kind and not self.left:
            os.kill(os.getpid(), self.signum)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._count("train")

    def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, *args: Any, **kwargs: Any) -> None:
        if not trainer.sanity_checking:
            torch.rand(1)  # a validation that draws
            self._count("val")

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.seen.append(("val", trainer.global_step, trainer.callback_metrics["val/loss"].item()))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.seen.append(("epoch", trainer.current_epoch, trainer.callback_metrics["train/width"].item()))


def fit(folder: Path, events: Events, resume: Path | None = None, minutes: float = 1.0, **settings: Any) -> ToyModule:
    GracefulStop.received = 0
    seed_everything(0 if resume is None else 99, verbose=False)
    callbacks = [events, RNGState(), BestCheckpoint(), LastCheckpoint(minutes), FinalValidation(), GracefulStop()]
    own = {"max_epochs": 2, "logger": MetricsCSV(folder, "run", "one"), "plugins": [AtomicCheckpointIO()]}
    module, trainer = ToyModule(), quiet_trainer(folder, *callbacks, **{**own, **settings})
    with contextlib.suppress(Stopped):
        trainer.fit(module, ToyData(), ckpt_path=resume, weights_only=True if resume else None)
    GracefulStop.received = 0
    return module


def rows(*folders: Path) -> dict[tuple[str, str], set[str]]:
    """The values of each metric at each step in the files of runs."""
    found: dict[tuple[str, str], set[str]] = {}
    for folder in folders:
        path = folder / "run/one/metrics.csv"
        for row in csv.DictReader(path.read_text().splitlines() if path.exists() else []):
            for name in row:
                if row[name] and name not in ("step", "epoch"):
                    found.setdefault((name, row["step"]), set()).add(row[name])
    return found


IN_EPOCH = {"val_check_interval": 4}
IN_WINDOW = {"val_check_interval": 4, "accumulate_grad_batches": 3}
FEW = {"limit_train_batches": 4}
RARELY = {"check_val_every_n_epoch": 3}  # at the end alone


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, ToyModule, Events]]:
    """A training that nothing broke off, made once for each of the settings."""
    made: dict[str, tuple[Path, ToyModule, Events]] = {}

    def train(settings: dict[str, Any]) -> tuple[Path, ToyModule, Events]:
        if (name := repr(settings)) not in made:
            folder, events = tmp_path_factory.mktemp("unbroken"), Events()
            made[name] = (folder, fit(folder, events, **settings), events)
        return made[name]

    return train


@pytest.mark.parametrize(
    ("settings", "kind", "number", "signum"),
    [
        ({}, "train", EPOCH, signal.SIGTERM),  # a validation is due
        ({}, "val", EPOCH + 3, signal.SIGTERM),  # within one; best.ckpt is of the epoch before
        (IN_EPOCH, "train", 4, signal.SIGHUP),
        (IN_WINDOW, "train", 2, signal.SIGTERM),
        (IN_WINDOW, "val", 2, signal.SIGINT),
        (FEW, "train", 4, signal.SIGTERM),
        (RARELY, "train", EPOCH + 4, signal.SIGTERM),
        (RARELY, "train", 2 * EPOCH, signal.SIGTERM),
        (RARELY, "val", 3, signal.SIGTERM),
    ],
)
def test_a_signal_costs_nothing(
    tmp_path: Path, unbroken: Any, settings: dict[str, Any], kind: str, number: int, signum: signal.Signals
) -> None:
    folder, whole, events = unbroken(settings)
    begun = Events(kind, number, signum)
    first = fit(tmp_path / "first", begun, **settings)
    saved = tmp_path / "first/run/one/checkpoints"
    assert not list(saved.glob("*part*"))
    assert len(begun.seen) < len(events.seen)
    for name in ("last.ckpt", "best.ckpt")[: 2 if (kind, number) == ("val", EPOCH + 3) else 1]:
        rest = Events()
        second = fit(tmp_path / name, rest, saved / name, **settings)
        assert all(torch.equal(value, second.state_dict()[key]) for key, value in whole.state_dict().items())
        if name == "last.ckpt":
            assert begun.seen + rest.seen == events.seen
            assert first.seen + second.seen == whole.seen
            assert rows(tmp_path / "first", tmp_path / name) == rows(folder)
        else:
            assert rest.seen == events.seen[1:]  # the end of the first epoch comes again


def test_a_kill_at_any_moment_costs_no_row_and_no_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved by the clock after every batch; each checkpoint that was ever there is what some kill would leave."""
    left: dict[Path, dict[tuple[str, str], set[str]]] = {}  # the rows that were there with it

    class Looks(Events):
        def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
            path = tmp_path / "whole/run/one/checkpoints/last.ckpt"
            if path.exists() and not (copy := tmp_path / f"{path.stat().st_mtime_ns}.ckpt").exists():
                os.link(path, copy)
                left[copy] = rows(tmp_path / "whole")

        on_validation_start = on_train_epoch_start = on_train_batch_end = on_train_end = on_train_batch_start

    monkeypatch.setattr("seq_modules.callbacks.run.last_checkpoint.REST", 0)
    events = Looks()
    whole = fit(tmp_path / "whole", events, minutes=1e-9, **IN_EPOCH)
    expected = rows(tmp_path / "whole")
    assert len(left) == 2 * EPOCH - 1  # the last save comes after all hooks
    for number, (copy, known) in enumerate(left.items()):
        step = torch.load(copy, weights_only=True)["global_step"]
        assert {int(at) for name, at in known if name == "train/loss"} >= set(range(step))
        if number not in (3, EPOCH - 1):  # after a validation, after an epoch
            continue
        rest = Events()
        second = fit(tmp_path / f"rest{number}", rest, copy, **IN_EPOCH)
        assert rest.seen == events.seen[len(events.seen) - len(rest.seen) :]
        assert all(torch.equal(value, second.state_dict()[key]) for key, value in whole.state_dict().items())
        assert {**known, **rows(tmp_path / f"rest{number}")} == expected
