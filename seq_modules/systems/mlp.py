"""Classification of rows of numbers with a multi-layer perceptron, written in four styles."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics.classification import MulticlassAccuracy

from seq_modules.base import SequenceModule, Step
from seq_modules.nets.mlp.mlp_config import MLPConfig, Style
from seq_modules.nets.mlp.numpy_bridge import cross_entropy_sum
from seq_modules.nets.mlp.styles import STYLES
from seq_modules.nets.precision import at_least_float32
from seq_modules.protocols.data import HasFeatures
from seq_modules.training.optim import OptimConfig, decay_groups, refuse_muon
from seq_modules.training.optimizers.sgd import WrittenOutSGD
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, group_from, required


class MLPClassifier(SequenceModule):
    """Tells to which class a row of numbers belongs.

    The inputs are standardised by the mean and the standard deviation of the training data, which are part of the
    weights. The four styles compute the same: from the same weights they stay equal up to rounding.

    Args:
        feature_names: Names of the D input columns; they come from the data.
        class_names: Names of the C classes in the order of their numbers; they come from the data.
        style: How the net is written. "numpy": NumPy with hand-written gradients (`reference/numpy_mlp.py`).
            "parameters": bare tensors. Both of these are trained by an update that is written out. "sequential": a
            torch.nn.Sequential. "module": a torch.nn.Module with a forward method.
        net: Widths and activation.
        optim: Optimiser and schedule; "numpy" and "parameters" have SGD alone.

    Raises:
        UserError: A value is out of its range, or there are no names.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        feature_names: list[str] | None = None,
        class_names: list[str] | None = None,
        style: Style = "module",
        net: MLPConfig = MLPConfig(),
        optim: OptimConfig = OptimConfig(learning_rate=0.1, optimizer="sgd", momentum=0.9),
    ) -> None:
        features, classes = required("feature_names", feature_names), required("class_names", class_names)
        if len(classes) < 2:
            raise UserError(f"class_names must be at least two, not {classes}")
        super().__init__({"accuracy": MulticlassAccuracy(len(classes), average="micro", validate_args=False)}, optim)
        self.save_hyperparameters()
        self.feature_names, self.class_names = list(features), list(classes)
        check_choice("style", style, Style)
        refuse_muon(self.optim)
        self.written_out = style in ("numpy", "parameters")
        if self.written_out and (other := self.optim.optimizer) != "sgd":
            raise UserError(f"style {style} has SGD alone; with optim.optimizer {other} use style sequential or module")
        config, width = group_from(MLPConfig, net), len(features)
        self.cross_entropy_sum = cross_entropy_sum if style == "numpy" else torch_cross_entropy_sum
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.net = STYLES[style]([width, *config.hidden_sizes, len(classes)], config.activation)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the classes, (B, C), of rows of numbers as the data has them, (B, D)."""
        return self.net((features - self.mean) / self.scale)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the rows."""
        logits, labels = at_least_float32(self(batch["features"])), batch["labels"]
        loss_sum = self.cross_entropy_sum(logits, labels)
        return Step(loss_sum, torch.tensor(len(labels), device=labels.device), {"preds": logits, "target": labels})

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> list[dict[str, Any]]:
        """One row each: its likeliest class, the probability of that, and its numbers by their names."""
        probabilities, labels = self(batch["features"]).float().softmax(-1).max(-1)
        columns = batch["index"], labels, probabilities, batch["features"]
        return [
            {"index": index, "label": self.name_of(label), "probability": round(probability, 6)}
            | dict(zip(self.feature_names, (round(value, 6) for value in row), strict=True))
            for index, label, probability, row in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def name_of(self, label: int) -> str:
        """A class's name."""
        return self.class_names[label]

    def make_optimizer(self) -> Optimizer:
        """SGD written out for the styles that are; otherwise as the group ``optim`` says."""
        if not self.written_out:
            return super().make_optimizer()
        groups = decay_groups(self.parameters(), self.optim.weight_decay)
        return WrittenOutSGD(groups, self.optim.learning_rate, self.optim.momentum)

    def setup(self, stage: str) -> None:
        """Takes mean and standard deviation from the training data; a checkpoint's replace them when it is loaded."""
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit" and isinstance(data, HasFeatures):
            features, _ = data.points("train")
            scale = features.std(dim=0, correction=0)
            self.mean.copy_(features.mean(dim=0))
            self.scale.copy_(torch.where(scale > 0, scale, 1.0))  # a constant column stays as it is


def torch_cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits (B, C) and classes (B,) in nats, summed over rows."""
    return F.cross_entropy(logits, labels, reduction="sum")
