"""Classification of texts: loss, metrics and predictions with any net that makes logits of a text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from seq_modules.base import SequenceModule, Step
from seq_modules.callbacks.training.active_member import ActiveMember
from seq_modules.nets.ensemble import Ensemble
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.text.classifier_net import classifier_nets
from seq_modules.training.distributed import trainer_of
from seq_modules.training.metrics.calibration import CalibrationError
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from
from seqlight.core.labels import IGNORED, first_of


@dataclass(frozen=True)
class LossConfig:
    """The loss of training. Validation and test measure the plain cross-entropy, whatever stands here.

    Attributes:
        aux_weight: Weight of the loss of the auxiliary labels; 0 makes no head for them.
        label_smoothing: Fraction of the target that is spread over all classes (Szegedy et al. 2016).
        class_weights: Weight of each class's loss. "balanced" takes n / (C · n of the class) of the training data. The
            mean is over rows: weights with a mean of 1 over them leave its size as it is.

    Raises:
        UserError: A value is out of its range.
    """

    aux_weight: float = 0.0
    label_smoothing: float = 0.0
    class_weights: list[float] | Literal["balanced"] | None = None

    def __post_init__(self) -> None:
        check_range("loss.aux_weight", self.aux_weight, least=0)
        check_range("loss.label_smoothing", self.label_smoothing, least=0, below=1)
        weights = self.class_weights
        if isinstance(weights, list) and not (weights and all(0 <= weight < math.inf for weight in weights)):
            raise UserError(f"loss.class_weights must be finite numbers of 0 or more, not {weights}")
        if isinstance(weights, str) and weights != "balanced":
            raise UserError(f'loss.class_weights must be numbers or "balanced", not {weights!r}')


class Classifier(SequenceModule):
    """Base of the classifiers.

    A subclass calls :meth:`make_net` with its encoders. The names of the classes come with the data and are saved in
    the checkpoint, as the tokenizer is.

    In training the loss is that of the label, smoothed and weighted, plus ``aux_weight`` times that of the auxiliary
    label. Where the data have ``probabilities`` of the classes, these are the target in the label's place. In
    validation and test it is the label's plain cross-entropy in nats, so that runs with different settings can be
    compared.

    Args:
        num_classes: Number of classes, C, at least 2.
        num_aux_classes: Classes of the auxiliary labels; 0 for none.
        loss: The loss of training.
        optim: Optimiser and schedule.

    Attributes:
        class_names: Names of the classes; None until data or a checkpoint bring them.
        confusion: Counts (C, C), true class by predicted class, of the latest validation or test.

    Raises:
        UserError: A value is out of its range.
    """

    net: nn.Module
    class_weights: Tensor

    def __init__(
        self,
        num_classes: int,
        num_aux_classes: int,
        loss: LossConfig | dict[str, Any],
        optim: OptimConfig | dict[str, Any],
    ) -> None:
        check_range("num_classes", num_classes, least=2)
        options: dict[str, Any] = {"num_classes": num_classes, "ignore_index": IGNORED, "validate_args": False}
        metrics = {
            "accuracy": MulticlassAccuracy(average="micro", **options),
            "macro_f1": MulticlassF1Score(average="macro", **options),
            "calibration_error": CalibrationError(),
        }
        super().__init__(metrics, optim)
        self.loss_config = group_from(LossConfig, loss)
        self.num_classes = num_classes
        self.num_aux_classes = num_aux_classes if self.loss_config.aux_weight else 0
        self.confusion = MulticlassConfusionMatrix(**options)
        self.class_names: list[str] | None = None
        weights = torch.ones(num_classes)
        if isinstance(given := self.loss_config.class_weights, list):
            if len(given) != num_classes:
                raise UserError(f"loss.class_weights must be {num_classes} numbers, not {given}")
            weights = torch.tensor(given, dtype=torch.float32)
        self.register_buffer("class_weights", weights)

    def make_net(self, encoders: Sequence[Any]) -> None:
        """Assigns ``net``: the encoder with its heads, or an ensemble of several such nets."""
        self.members = classifier_nets(encoders, self.num_classes, self.num_aux_classes)  # a list, not registered
        self.net = self.members[0] if len(self.members) == 1 else Ensemble(self.members)

    def configure_callbacks(self) -> list[Callback]:
        """Adds, for an ensemble, the callback that chooses the member of a step."""
        return [*super().configure_callbacks(), *([ActiveMember()] if isinstance(self.net, Ensemble) else [])]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Logits of the classes, (B, C).

        Args:
            input_ids: (B, T), padded on the right.
            attention_mask: True or 1 at the tokens of a row, (B, T); by default all.
        """
        return self.all_logits(input_ids, attention_mask)[0]

    def probabilities(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Probabilities of the classes, (B, C), in float32; arguments as for :meth:`forward`."""
        return self(input_ids, attention_mask).float().softmax(-1)

    def all_logits(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> list[Tensor]:
        """Logits of the classes, (B, C), and of the auxiliary classes where there is a head for them, (B, A)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return self.net(input_ids, mask.bool())

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the rows that have a label."""
        labels = batch["labels"]
        outputs = self.all_logits(batch["input_ids"], batch["attention_mask"])
        logits, *aux_logits = map(at_least_float32, outputs)
        options: dict[str, Any] = {"ignore_index": IGNORED, "reduction": "sum"}
        if self.training:
            options["label_smoothing"] = self.loss_config.label_smoothing
            weight = self.class_weights.to(logits.dtype)  # Lightning's "true" precisions convert it
            target = batch["probabilities"].to(logits.dtype) if "probabilities" in batch else labels
            loss_sum = F.cross_entropy(logits, target, weight, **options)
            for aux in aux_logits:
                loss_sum = loss_sum + self.loss_config.aux_weight * F.cross_entropy(aux, batch["aux_labels"], **options)
        else:
            loss_sum = F.cross_entropy(logits, labels, **options)
        return Step(loss_sum, (labels != IGNORED).sum(), {"preds": logits, "target": labels})

    def measure(self, metrics: MetricCollection, step: Step) -> None:
        """Counts the confusions of validation and test too."""
        super().measure(metrics, step)
        if metrics is not self.train_metrics:
            self.confusion.update(step.metric_inputs["preds"].detach(), step.metric_inputs["target"])

    def on_validation_epoch_start(self) -> None:
        """Forgets the confusions counted before."""
        self.confusion.reset()

    def on_test_epoch_start(self) -> None:
        """Forgets the confusions counted before."""
        self.confusion.reset()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a text: the name of its likeliest class, the probability of that and of all classes, the text."""
        probabilities = self.probabilities(batch["input_ids"], batch["attention_mask"])
        names = [self.name_of(label) for label in range(self.num_classes)]
        rows = []
        for index, label, values in zip(
            batch["index"].tolist(), probabilities.argmax(-1).tolist(), probabilities.tolist(), strict=True
        ):
            by_class = {name: round(value, 6) for name, value in zip(names, values, strict=True)}
            rows.append({"index": index, "label": names[label], "probability": by_class[names[label]]})
            if "texts" in batch:
                rows[-1]["text"] = batch["texts"][len(rows) - 1]
            rows[-1]["probabilities"] = by_class
        return rows

    def name_of(self, label: int) -> str:
        """A class's name, or its number where the names are not known."""
        return str(label) if self.class_names is None else self.class_names[label]

    def confusion_counts(self) -> Tensor | None:
        """Counts (C, C), true class by predicted class, of the latest validation or test; None without one.

        They are summed over ranks, all of which must call this.
        """
        return self.confusion.compute().cpu() if self.confusion.update_count else None

    def token_vectors(self) -> Tensor:
        """Embeddings of all tokens, (V, D); of an ensemble, the first member's."""
        return self.members[0].encoder.token_vectors()

    def token_weights(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of the attention that pools the tokens, (B, T') with T' at least T; None with another pooling.

        Of an ensemble they are the first member's.
        """
        return self.members[0].encoder.token_weights(input_ids, mask.bool())

    def setup(self, stage: str) -> None:
        """Takes the tokenizer, the names and, to train, the balance of the classes from the data.

        Raises:
            UserError: The data has another number of names than the model has classes.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        names = getattr(data, "class_names", None)
        if names is not None:
            if len(names) != self.num_classes:
                raise UserError(f"num_classes {self.num_classes} is not the data's {len(names)} ({first_of(names)})")
            self.class_names = list(map(str, names))
        if stage == "fit" and self.loss_config.aux_weight and not self.num_aux_classes:
            rank_zero_warn(
                f"loss.aux_weight {self.loss_config.aux_weight:g} does nothing: this data has no auxiliary labels"
            )
        if stage == "fit" and self.loss_config.class_weights == "balanced":
            self.class_weights.copy_(balance(data, self.num_classes))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the classes' names in the checkpoint too."""
        super().on_save_checkpoint(checkpoint)
        if self.class_names is not None:
            checkpoint["class_names"] = self.class_names

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the names that the weights were trained with, and refuses data whose labels have other names.

        A resumed training has the class weights given now, not the checkpoint's.
        """
        super().on_load_checkpoint(checkpoint)
        trainer = trainer_of(self)
        if trainer is not None and trainer.state.fn == "fit":
            checkpoint["state_dict"]["class_weights"] = self.class_weights
        held = checkpoint.get("class_names")
        if held is None:
            return
        if len(held) != self.num_classes:
            raise UserError(f"the checkpoint has {len(held)} class_names and {self.num_classes} classes; it is damaged")
        given = self.class_names is not None and (trainer is None or trainer.state.fn != "predict")
        if given and held != self.class_names:
            raise UserError(
                f"class_names of the data ({first_of(self.class_names)}) are not the checkpoint's ({first_of(held)}); "
                "give data with the same classes"
            )
        self.class_names = held


def balance(data: Any, num_classes: int) -> Tensor:
    """Weights (C,), inverse to the classes' counts in the training data, 1 on average over its rows.

    Raises:
        UserError: The data does not count its classes.
    """
    counts = getattr(data, "class_counts", None)
    if counts is None or len(counts) != num_classes:
        raise UserError("loss.class_weights balanced needs data that counts its classes (class_counts); give numbers")
    table = torch.tensor(counts, dtype=torch.float32)
    # A class without training rows would get an infinite weight, which nothing ever uses.
    return torch.where(table > 0, table.sum() / (num_classes * table.clamp(min=1)), 1.0)
