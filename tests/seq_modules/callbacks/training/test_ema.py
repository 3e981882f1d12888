"""Averaged weights: the average is right, best.ckpt holds it, and training goes on exactly."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.toy_text import EPOCH, Sees, SignalAt, TextData, TextModule, Validated, assert_same, fit, last, trainer
from lightning.pytorch import Callback
from torch import Tensor

from seq_modules.callbacks import GracefulStop
from seq_modules.callbacks.training.compile import Compile
from seq_modules.callbacks.training.ema import EMA
from seq_modules.callbacks.training.sequence_warmup import SequenceLengthWarmup


@pytest.mark.parametrize("stop_at", [2, EPOCH - 1, EPOCH, EPOCH + 3, 2 * EPOCH - 1])
@pytest.mark.parametrize("settings", [{}, {"precision": "bf16-true"}], ids=["fp32", "bf16"])
def test_resumed_equals_uninterrupted(tmp_path: Path, stop_at: int, settings: dict[str, Any]) -> None:
    def callbacks() -> list[Callback]:
        return [EMA(0.9, start_fraction=0.2, every_n_steps=2), SequenceLengthWarmup(4, 0.5), Compile(backend="eager")]

    fit(tmp_path / "whole", *callbacks(), **settings)
    fit(tmp_path / "first", *callbacks(), SignalAt(stop_at), **settings)
    assert GracefulStop.received == signal.SIGTERM
    resume = tmp_path / "first/checkpoints/last.ckpt"
    fit(tmp_path / "rest", *callbacks(), resume=resume, seed=99, **settings)
    whole, rest = last(tmp_path / "whole"), last(tmp_path / "rest")
    assert_same(whole["state_dict"], rest["state_dict"])
    assert_same(whole["training_weights"], rest["training_weights"])
    best = [last(tmp_path / folder, "best") for folder in ("whole", "rest")]
    assert best[0]["global_step"] == best[1]["global_step"]
    assert_same(best[0]["state_dict"], best[1]["state_dict"])


@pytest.mark.parametrize(("decay", "every", "start"), [(0.5, 1, 0.0), (0.9, 3, 0.0), (0.8, 2, 0.5), (0.95, 1, 0.3)])
def test_the_average_is_that_of_a_plain_loop(tmp_path: Path, decay: float, every: int, start: float) -> None:
    sees = Sees()
    module = fit(tmp_path, sees, EMA(decay, start, every))
    plain = Sees()
    fit(tmp_path / "plain", plain)
    for a, b in zip(sees.weights, plain.weights, strict=True):  # averaging and swapping leave training as it is
        assert_same(a, b)
    average: dict[str, Tensor] | None = None
    updates, total = 0, 3 * EPOCH
    for step, weights in enumerate(sees.weights, start=1):
        if step % every == 0 and step / total >= start:
            share = max(1 - decay**every, 10 / (10 + updates))
            average = (
                weights if average is None else {n: (1 - share) * average[n] + share * w for n, w in weights.items()}
            )
            updates += 1
    assert average is not None
    held = last(tmp_path)
    for name, value in average.items():
        torch.testing.assert_close(held["state_dict"][name], value)
        torch.testing.assert_close(module.state_dict()[name], value)
    assert torch.equal(held["state_dict"]["net.head.weight"], held["state_dict"]["net.embedding.weight"])
    assert_same(held["training_weights"], sees.weights[-1])


def test_best_holds_the_average_that_was_validated(tmp_path: Path) -> None:
    before, after = Validated(), Validated()
    fit(tmp_path, before, EMA(0.9), after)
    best = last(tmp_path, "best")
    at = before.losses.index(min(before.losses))
    assert best["global_step"] == EPOCH * (at + 1)
    for validated in (before, after):
        assert_same(best["state_dict"], validated.weights[at])
    module = TextModule()
    module.load_state_dict(best["state_dict"])
    (result,) = trainer(tmp_path / "again", EMA()).validate(module, TextData(), verbose=False)
    assert result["val/loss"] == pytest.approx(min(before.losses), abs=1e-6)
    # To evaluate a checkpoint, its state dict is all that counts, with the callback or without.
    module = TextModule()
    path = str(tmp_path / "checkpoints/best.ckpt")
    (result,) = trainer(tmp_path / "again", EMA()).validate(module, TextData(), path, verbose=False)
    assert result["val/loss"] == pytest.approx(min(before.losses), abs=1e-6)


def test_average_with_accumulated_gradients_counts_steps(tmp_path: Path) -> None:
    average = EMA(0.9)
    fit(tmp_path, average, accumulate_grad_batches=2)
    assert average.updates == 3 * 4  # 7 batches are 4 steps


def test_average_goes_on_from_a_training_without_one(tmp_path: Path) -> None:
    sees = Sees()
    fit(tmp_path / "first", max_epochs=1)
    fit(tmp_path / "rest", sees, EMA(0.0), resume=tmp_path / "first/checkpoints/last.ckpt")
    assert len(sees.weights) == 2 * EPOCH
    for name, value in sees.weights[-1].items():
        torch.testing.assert_close(last(tmp_path / "rest")["state_dict"][name], value)
