"""A tiny system of the tests' own: dropout, a cosine schedule, shuffled rows. What resuming and DDP must get right."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from datamodules import SequenceDataModule
from datamodules.loading.batch_dataset import BatchDataset
from seq_modules import SequenceModule
from seq_modules.base import Step
from seq_modules.training.optim import OptimConfig


class Rows(BatchDataset):
    def __init__(self, size: int) -> None:
        self.x = torch.randn(size, 4, generator=torch.Generator().manual_seed(size))

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        index = torch.tensor(rows)
        # Rows count differently many items, as padded sequences do.
        return {"x": self.x[index], "items": 1 + index % 3, "index": index}


class ToyData(SequenceDataModule):
    def __init__(self, size: int = 37, batch_size: int = 4, num_workers: int = 0, seed: int | None = 0) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        self.train_set, self.val_set, self.test_set, self.predict_set = (Rows(size + i) for i in range(4))
        self.seen: list[int] = []


class ToyModule(SequenceModule):
    def __init__(self, width: int = 8, dropout: float = 0.5, learning_rate: float = 1e-2) -> None:
        optim = OptimConfig(learning_rate, weight_decay=0.1, warmup_steps=3, schedule="cosine")
        super().__init__({"width": MeanMetric()}, optim)
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1))
        self.seen: list[list[int]] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def step(self, batch: dict[str, Tensor]) -> Step:
        if self.training:
            self.seen.append(batch["index"].tolist())
        loss = F.mse_loss(self(batch["x"]).squeeze(-1), batch["x"].sum(1), reduction="none") * batch["items"]
        return Step(loss.sum(), batch["items"].sum(), {"value": batch["x"].mean()})

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[dict[str, float]]:
        return [
            {"index": i, "y": y} for i, y in zip(batch["index"].tolist(), self(batch["x"])[:, 0].tolist(), strict=True)
        ]
