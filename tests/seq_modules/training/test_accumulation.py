"""Accumulated batches train as the global batch does, for every system."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.systems import DATA, MODULES, system
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from seq_modules.callbacks import GracefulStop, LastCheckpoint
from seqlight.core.errors import Stopped


class Gradients(Callback):
    """Keeps the gradients of each step, as the optimiser gets them before they are clipped."""

    def __init__(self) -> None:
        self.steps: list[list[Tensor]] = []
        self.counts: list[int] = []  # targets of each batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.counts.append(int(pl_module.step(batch).num_targets))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        self.steps.append([p.grad.clone() for p in pl_module.parameters() if p.grad is not None])


def trained(name: str, folder: Path, batch_size: int, batches: int, **settings: Any) -> Gradients:
    """An epoch whose steps hardly move the weights, so that all of its gradients can be compared."""
    seen = Gradients()
    quiet = {"max_epochs": 1, "limit_val_batches": 0, "accumulate_grad_batches": batches}
    trainer = quiet_trainer(folder, seen, **{**quiet, **settings})
    trainer.fit(system(name, learning_rate=1e-10), DATA[name](batch_size))
    return seen


@pytest.mark.parametrize("name", MODULES)
def test_accumulated_batches_have_the_gradient_of_the_joined_batch(name: str, tmp_path: Path) -> None:
    joined, apart = trained(name, tmp_path, 8, 1), trained(name, tmp_path, 4, 2)
    assert len(set(apart.counts)) > 1  # or a mean of means would do as well
    assert sum(apart.counts) == sum(joined.counts)
    assert len(apart.steps) == len(joined.steps) > 1
    for expected, found in zip(joined.steps, apart.steps, strict=True):
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6)


def test_the_last_window_of_an_epoch_is_shorter(tmp_path: Path) -> None:
    seen = trained("gpt", tmp_path, 4, 4)  # six batches: a window of four and one of two
    assert (len(seen.counts), len(seen.steps)) == (6, 2)
    joined = trained("gpt", tmp_path, 16, 1)
    for a, b in zip(joined.steps[1], seen.steps[1], strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-6)


class StopAt(Callback):
    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == self.batch:
            GracefulStop.received = 15


def test_a_stop_within_a_window_keeps_its_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GracefulStop, "received", 0)
    whole = trained("gpt", tmp_path / "whole", 4, 2)
    settings: dict[str, Any] = {"max_epochs": 1, "limit_val_batches": 0, "accumulate_grad_batches": 2}
    folder = tmp_path / "parts"
    # The signal comes in the first batch of the second window.
    first, rest = Gradients(), Gradients()
    begun = quiet_trainer(folder, first, StopAt(2), GracefulStop(), LastCheckpoint(), **settings)
    with pytest.raises(Stopped):
        begun.fit(system("gpt", learning_rate=1e-10), DATA["gpt"](4))
    assert len(first.steps) == 1
    resumed = quiet_trainer(folder, rest, **settings)
    checkpoint = folder / "checkpoints/last.ckpt"
    resumed.fit(system("gpt", learning_rate=1e-10), DATA["gpt"](4), ckpt_path=checkpoint, weights_only=True)
    found = first.steps + rest.steps
    assert len(found) == len(whole.steps)
    for expected, grads in zip(whole.steps, found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, grads, strict=True))
