"""Classification of texts: loss, metrics and predictions with any net that makes one vector of a sentence."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from seq_modules.base import Step
from seq_modules.nets.text.text_ensemble import EnsembleHead
from seq_modules.systems.turns import TurnTaking
from seq_modules.training.metrics import CalibrationError
from seqlight.core.errors import UserError
from seqlight.core.labels import IGNORED

ClassWeights = list[float] | Literal["balanced"] | None


class Classifier(TurnTaking):
    """Base of the classifiers.

    A subclass assigns ``net`` (ids (B, T) and a mask (B, T) -> (B, W), with its ``width`` W) and then calls
    :meth:`make_heads`. The names of the classes come with the data and travel in the checkpoint, as the tokenizer does.

    In training the loss is that of the label, smoothed and weighted as asked, plus ``aux_weight`` times that of the
    other label level; in validation and test it is the label's plain cross-entropy in nats, so that runs with different
    settings can be compared.

    Args:
        num_classes: C.
        num_aux_classes: Classes of the other label level; 0 for none.
        aux_weight: Weight of their loss; 0 makes no head for them.
        label_smoothing: Share of the target that is spread over all classes while training (Szegedy et al. 2016).
        class_weights: Weight of each class's loss while training; "balanced" takes n / (C · n of the class) of the
            training data. The mean is over rows: weights with a mean of 1 over them leave its size as it is.
        training: The arguments of SequenceModule, from ``learning_rate`` on.

    Attributes:
        class_names: Names of the classes; None until data or a checkpoint bring them.
        confusion: Counts (C, C), true class by predicted class, of the validation or test that ran last.
    """

    net: nn.Module
    class_weights: Tensor
    fused_adamw = True  # tables of embeddings are large

    def __init__(
        self,
        num_classes: int,
        num_aux_classes: int = 0,
        aux_weight: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights = None,
        **training: Any,
    ) -> None:
        if num_classes < 2:
            raise UserError(f"num_classes must be at least 2, not {num_classes}")
        if aux_weight < 0:
            raise UserError(f"aux_weight must be 0 or more, not {aux_weight}")
        if not 0 <= label_smoothing < 1:
            raise UserError(f"label_smoothing must be at least 0 and below 1, not {label_smoothing}")
        options: dict[str, Any] = {"num_classes": num_classes, "ignore_index": IGNORED, "validate_args": False}
        metrics = {
            "accuracy": MulticlassAccuracy(average="micro", **options),
            "macro_f1": MulticlassF1Score(average="macro", **options),
            "calibration_error": CalibrationError(),
        }
        super().__init__(metrics, **training)
        self.num_classes, self.num_aux_classes = num_classes, num_aux_classes if aux_weight else 0
        self.aux_weight, self.label_smoothing = aux_weight, label_smoothing
        self.confusion = MulticlassConfusionMatrix(**options)
        self.class_names: list[str] | None = None
        self.balanced = class_weights == "balanced"
        weights = torch.ones(num_classes)
        if isinstance(class_weights, list):
            if len(class_weights) != num_classes or min(class_weights) < 0:
                raise UserError(f"class_weights must be {num_classes} numbers of 0 or more, not {class_weights}")
            weights = torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights)

    def make_heads(self, width: int, members: int = 1) -> None:
        """Makes the linear heads of ``net``, or of each of its members, whose vectors have that width."""

        def head(classes: int) -> nn.Module:
            return nn.Linear(width, classes) if members == 1 else EnsembleHead(width, classes, members)

        self.head = head(self.num_classes)
        self.aux_head = head(self.num_aux_classes) if self.num_aux_classes else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Logits of the classes, (B, C).

        Args:
            input_ids: (B, T), padded on the right.
            attention_mask: True or 1 at the tokens of a row, (B, T); by default all.
        """
        return self.head(self.vectors(input_ids, attention_mask))

    def vectors(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """What the heads see of each sentence, (B, W)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return self.net(input_ids, mask.bool())

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the rows that have a label."""
        labels = batch["labels"]
        vectors = self.vectors(batch["input_ids"], batch["attention_mask"])
        logits = self.head(vectors).float()
        if not self.training:
            loss_sum = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
        else:
            loss_sum = F.cross_entropy(
                logits,
                labels,
                weight=self.class_weights.to(logits.dtype),  # Lightning's "true" precisions convert it
                ignore_index=IGNORED,
                reduction="sum",
                label_smoothing=self.label_smoothing,
            )
            if self.aux_head is not None:
                aux = F.cross_entropy(
                    self.aux_head(vectors).float(),
                    batch["aux_labels"],
                    ignore_index=IGNORED,
                    reduction="sum",
                    label_smoothing=self.label_smoothing,
                )
                loss_sum = loss_sum + self.aux_weight * aux
        return Step(loss_sum, (labels != IGNORED).sum(), {"preds": logits, "target": labels})

    def _measure(self, metrics: Any, loss_sum: Tensor, items: Tensor, measured: dict[str, Tensor]) -> None:
        super()._measure(metrics, loss_sum, items, measured)
        if metrics is not self.train_metrics:
            self.confusion.update(measured["preds"].detach(), measured["target"])

    def on_validation_epoch_start(self) -> None:
        """Counts anew."""
        self.confusion.reset()

    def on_test_epoch_start(self) -> None:
        """Counts anew."""
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a text: its likeliest class by name, the probability of it, the text."""
        probabilities, labels = self(batch["input_ids"], batch["attention_mask"]).float().softmax(-1).max(-1)
        texts = batch.get("texts")
        rows = [
            {"index": index, "label": self.name_of(label), "probability": round(probability, 6)}
            for index, label, probability in zip(
                batch["index"].tolist(), labels.tolist(), probabilities.tolist(), strict=True
            )
        ]
        return rows if texts is None else [row | {"text": text} for row, text in zip(rows, texts, strict=True)]

    def name_of(self, label: int) -> str:
        """A class's name, or its number where the names are not known."""
        return str(label) if self.class_names is None else self.class_names[label]

    def setup(self, stage: str) -> None:
        """Takes the tokenizer, the names and, to train, the balance of the classes from the data.

        Raises:
            ValueError: The data has another number of names than the model has classes.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        names = getattr(data, "class_names", None)
        if names is not None:
            if len(names) != self.num_classes:
                raise UserError(f"num_classes {self.num_classes} is not the data's {len(names)} ({shown(names)})")
            self.class_names = list(map(str, names))
        if stage == "fit" and self.aux_weight and not self.num_aux_classes:
            rank_zero_warn(f"aux_weight {self.aux_weight:g} does nothing: this data has one level of labels")
        if stage == "fit" and self.balanced:
            self.class_weights.copy_(balance(data, self.num_classes))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the classes' names in the checkpoint too."""
        super().on_save_checkpoint(checkpoint)
        if self.class_names is not None:
            checkpoint["class_names"] = self.class_names

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the names that the weights were trained with, and refuses data whose labels mean something else.

        The classes' weights of a training that goes on are those asked for now.
        """
        super().on_load_checkpoint(checkpoint)
        if self._trainer is not None and self.trainer.state.fn == "fit":
            checkpoint["state_dict"]["class_weights"] = self.class_weights
        held = checkpoint.get("class_names")
        if held is None:
            return
        told = self.class_names is not None and (self._trainer is None or self.trainer.state.fn != "predict")
        if told and held != self.class_names:
            raise UserError(
                f"class_names of the data ({shown(self.class_names)}) are not the checkpoint's ({shown(held)}); give "
                "data with the same classes"
            )
        self.class_names = held


def shown(names: Sequence[str] | None) -> str:
    """The first names."""
    names = list(names or [])
    return ", ".join(map(str, names[:6])) + (" ..." if len(names) > 6 else "")


def balance(data: Any, num_classes: int) -> Tensor:
    """Weights (C,), inverse to the classes' counts in the training data, 1 on average over its rows.

    Raises:
        ValueError: The data does not count its classes.
    """
    counts = getattr(data, "class_counts", None)
    if counts is None or len(counts) != num_classes:
        raise UserError("class_weights balanced needs data that counts its classes (class_counts); give numbers")
    table = torch.tensor(counts, dtype=torch.float32)
    # A class that training never meets would get an infinite weight, which nothing ever uses.
    return torch.where(table > 0, table.sum() / (num_classes * table.clamp(min=1)), 1.0)
