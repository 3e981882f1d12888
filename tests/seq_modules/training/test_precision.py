"""Every system trains in bf16 as in float32, within a band; losses and metrics are summed in float32."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.systems import DATA, MODULES, system
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins import HalfPrecision
from torch import Tensor

# Largest distance of the smoothed curves, as a part of the first loss. benchmarks/studies/precision_bands.py measures
# longer trainings.
BAND = 0.03


class Losses(Callback):
    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.values.append(outputs["loss"].detach())


def curve(name: str, folder: Path, precision: str, **optim: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of 20 steps, smoothed, and what was logged."""
    seen = Losses()
    settings: dict[str, Any] = {"max_steps": 20, "precision": precision, "gradient_clip_val": 1.0}
    trainer = quiet_trainer(folder, seen, **settings)
    trainer.fit(system(name, learning_rate=3e-3, **optim), DATA[name](4))
    losses = torch.stack(seen.values)
    assert losses.dtype == torch.float32
    return losses.unfold(0, 5, 1).mean(-1), dict(trainer.logged_metrics)


@cache
def exact_curve(name: str, folder: Path, optimizer: str) -> Tensor:
    """Losses in float32, which both precisions of a system are compared with."""
    return curve(name, folder, "32-true", optimizer=optimizer)[0]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize(("name", "optimizer"), [*((name, "adamw") for name in MODULES), ("gpt", "muon")])
def test_bf16_stays_near_float32(
    name: str, optimizer: str, precision: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    exact = exact_curve(name, tmp_path_factory.getbasetemp(), optimizer)
    found, logged = curve(name, tmp_path, precision, optimizer=optimizer)
    assert len(found) == len(exact) == 16
    assert not torch.equal(found, exact)  # it is another precision
    assert (found - exact).abs().max() < BAND * exact[0]
    assert {value.dtype for value in logged.values()} == {torch.float32}


def test_sums_of_metrics_do_not_stop_growing() -> None:
    module = system("rnn").to(torch.bfloat16)
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    loss = module.val_metrics["loss"]
    for _ in range(1000):
        loss.update(torch.tensor(1.0), torch.tensor(1))
    assert loss.compute() == 1.0  # in bf16 the sum stays at 256
    module.val_metrics.reset()
    assert loss.loss_sum.dtype == torch.float32


def test_a_loss_is_summed_in_float32() -> None:
    for name in MODULES:
        module = system(name).to(torch.bfloat16).train()
        data = DATA[name](4)
        data.setup("fit")
        batch = HalfPrecision("bf16-true").convert_input(data.train_set.__getitems__([0, 1, 2, 3]))  # type: ignore[union-attr]
        assert module.step(batch).loss_sum.dtype == torch.float32, name
