"""A tiny text system for the tests of training callbacks: tied weights, blocks, dropout, Muon."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import Dataset

from datamodules import SequenceDataModule
from seq_modules import SequenceModule
from seq_modules.base import Step
from seq_modules.callbacks import BestCheckpoint, GracefulStop, LastCheckpoint, RNGState
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import Stopped

EPOCH, STEPS, V = 7, 8, 11  # batches of an epoch (the last one small), tokens of a row, size of the alphabet


class Texts(Dataset):
    def __init__(self, size: int) -> None:
        self.ids = torch.randint(V, (size, STEPS + 1), generator=torch.Generator().manual_seed(size))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitems__(self, rows: list[int]) -> dict[str, Tensor]:
        ids = self.ids[rows]
        characters = torch.tensor([100 + row for row in rows])
        return {
            "input_ids": ids[:, :-1], "labels": ids[:, 1:], "characters": characters, "index": torch.tensor(rows)
        }  # fmt: skip


class TextData(SequenceDataModule):
    def __init__(self) -> None:
        super().__init__(batch_size=4, seed=0)
        self.train_set, self.val_set, self.test_set = Texts(4 * EPOCH - 1), Texts(8), Texts(9)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.dropout = nn.Linear(6, 12), nn.Linear(12, 6), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.dropout(self.up(x).relu()))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(V, 6)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(6, V, bias=False)
        self.head.weight = self.embedding.weight  # tied

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        x = x + x.cumsum(1) / 10  # a context, and so a length that matters
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class TextModule(SequenceModule):
    def __init__(self, **optim: Any) -> None:
        settings: dict[str, Any] = {
            "learning_rate": 0.01, "weight_decay": 0.1, "warmup_steps": 2, "optimizer": "muon",
            "muon_learning_rate": 0.05, "schedule": "wsd", "decay_fraction": 0.6,
        }  # fmt: skip
        super().__init__({}, OptimConfig(**settings | optim))
        self.net = Net()

    def step(self, batch: dict[str, Tensor]) -> Step:
        logits = self.net(batch["input_ids"])
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")
        return Step(loss, torch.tensor(batch["labels"].numel()), {})


class Sees(Callback):
    """Keeps the batches' shapes, the rates, and the training weights after each step."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.characters: list[int] = []
        self.weights: list[dict[str, Tensor]] = []
        self.rates: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.shapes.append(tuple(batch["input_ids"].shape))
        self.characters.append(int(batch["characters"].sum()))
        self.weights.append({name: p.detach().clone() for name, p in pl_module.named_parameters()})
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


class SignalAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def trainer(folder: Path, *callbacks: Callback, **settings: Any) -> Trainer:
    always: list[Callback] = [RNGState(), BestCheckpoint(), LastCheckpoint(), GracefulStop()]
    return quiet_trainer(folder, *callbacks, *always, **{"max_epochs": 3, "log_every_n_steps": 2, **settings})


def fit(folder: Path, *callbacks: Callback, resume: Path | None = None, seed: int = 0, **settings: Any) -> TextModule:
    seed_everything(seed, verbose=False)
    module = TextModule(**settings.pop("training", {}))
    fitted = trainer(folder, *callbacks, **settings)
    with contextlib.suppress(Stopped):
        fitted.fit(module, TextData(), ckpt_path=resume, weights_only=True if resume else None)
    return module


def last(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


class Validated(Callback):
    """Keeps the weights that a validation's end sees, as the samples callback does."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.losses: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.weights.append({name: value.clone() for name, value in pl_module.state_dict().items()})
            self.losses.append(float(trainer.callback_metrics["val/loss"]))
