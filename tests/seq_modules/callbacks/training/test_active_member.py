"""The members of an ensemble are trained in rotation, by the number of the step."""

from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from seq_modules.callbacks import ActiveMember
from seq_modules.nets.ensemble import Ensemble


class Two(LightningModule):
    """A module with ensembles of two and of three members."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Ensemble([nn.Identity() for _ in range(2)])
        self.inner = nn.ModuleList([Ensemble([nn.Identity() for _ in range(3)])])


def test_the_member_follows_from_the_step_in_every_ensemble() -> None:
    module: Any = Two()
    chosen = []
    for step in range(6):
        trainer: Any = SimpleNamespace(global_step=step)
        ActiveMember().on_train_batch_start(trainer, module, None, 0)
        chosen.append((module.pair.active, module.inner[0].active))
    assert chosen == [(0, 0), (1, 1), (0, 2), (1, 0), (0, 1), (1, 2)]


def test_ddp_is_told_of_weights_without_gradients() -> None:
    trainer: Any = SimpleNamespace(strategy=DDPStrategy())
    ActiveMember().setup(trainer, Two(), "fit")
    assert trainer.strategy._ddp_kwargs == {"find_unused_parameters": True}
    trainer.strategy = DDPStrategy()
    ActiveMember().setup(trainer, LightningModule(), "fit")  # no ensemble: DDP's own, quicker way
    assert trainer.strategy._ddp_kwargs == {}


def test_ddp_that_expects_all_gradients_is_refused() -> None:
    trainer: Any = SimpleNamespace(strategy=DDPStrategy(find_unused_parameters=False))
    with pytest.raises(ValueError, match=r"ensemble_size 3 .*--trainer\.strategy ddp,"):
        ActiveMember().setup(trainer, Two(), "fit")
