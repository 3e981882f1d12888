"""Taggers: a label for each word of a sentence. The base, one from scratch, and one on a pretrained encoder.

B sentences, T words, C labels. A batch of words is what ``TaggingTokenizer.batch`` makes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from seq_modules.base import SequenceModule, Step
from seq_modules.generation.decode import evaluating
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.pretrained.encoder import PretrainedEncoder, PretrainedEncoderConfig
from seq_modules.nets.pretrained.loading import config_text
from seq_modules.nets.text.crf import LinearChainCRF
from seq_modules.nets.text.tagger_net import PieceEncoder, TaggerNet, WordEncoder, WordEncoderConfig
from seq_modules.nets.text.word_characters import CharacterConfig
from seq_modules.systems.pretrained_classifier import pretrained_model
from seq_modules.training.layer_rates import layerwise_adamw, remove_gradients
from seq_modules.training.metrics.means import Fraction
from seq_modules.training.metrics.spans import Score, SpanScore
from seq_modules.training.optim import OptimConfig
from seq_modules.training.tokenizer import required_tokenizer
from seq_modules.training.word_embeddings import start_embeddings, take_unknown
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from, required
from seqlight.core.labels import IGNORED
from seqlight.core.spans import is_bio, may_follow, spans_of


class UnknownAccuracy(Fraction):
    """Accuracy on the words that the vocabulary does not have; NaN where there are none."""

    def update(self, preds: Tensor, target: Tensor, unknown: Tensor) -> None:
        """Takes predicted and true labels, and which words are unknown; each (B, T)."""
        counted = unknown & (target != IGNORED)
        self.right += ((preds == target) & counted).sum()
        self.total += counted.sum()


class Tagger(SequenceModule):
    """Base of the taggers; a subclass assigns ``net``, made by :meth:`make_net`.

    Without a CRF the loss is the cross-entropy of each word's label, and the likeliest label of each word is predicted.
    With one it is the negative log-likelihood of the sentence's labels, and the likeliest sequence is predicted. Both
    are means over words, in nats. Labels of the BIO scheme are measured by the precision, the recall and the F1 of
    their spans too.

    Args:
        class_names: The labels, in the order of their numbers, C of them.
        crf: Whether there is a CRF.
        constrained: Whether the CRF forbids transitions that the BIO scheme does not have.
        label_smoothing: Fraction of the target that is spread over all labels.
        optim: Optimiser and schedule.
        metrics: Further metrics.

    Attributes:
        confusion: Counts (C, C), true label by predicted label, of the latest validation or test.

    Raises:
        UserError: A value is out of its range.
    """

    net: TaggerNet

    def __init__(
        self,
        class_names: Sequence[str],
        crf: bool,
        constrained: bool,
        label_smoothing: float,
        optim: OptimConfig | dict[str, Any],
        metrics: Mapping[str, Metric],
    ) -> None:
        if len(class_names) < 2:
            raise UserError(f"class_names must be at least two, not {list(class_names)}")
        options: dict[str, Any] = {"num_classes": len(class_names), "ignore_index": IGNORED, "validate_args": False}
        found: dict[str, Metric] = {
            "accuracy": MulticlassAccuracy(average="micro", **options),
            "macro_f1": MulticlassF1Score(average="macro", **options),
            **metrics,
        }
        self.bio = is_bio(class_names)
        if self.bio:
            scores: tuple[Score, ...] = ("precision", "recall", "f1")
            found |= {f"span_{score}": SpanScore(class_names, score) for score in scores}
        super().__init__(found, optim)
        check_range("label_smoothing", label_smoothing, least=0, below=1)
        if crf and label_smoothing:
            raise UserError(f"label_smoothing {label_smoothing:g} is for single labels, not for a CRF; make it 0")
        self.class_names, self.label_smoothing = list(class_names), label_smoothing
        self.crf, self.constrained = crf, constrained
        self.confusion = MulticlassConfusionMatrix(**options)

    def make_net(self, encoder: Any) -> TaggerNet:
        """The net of an encoder, with the CRF where there is one."""
        names = self.class_names
        crf = None
        if self.crf and self.constrained and self.bio:
            forbidden = torch.tensor([[not may_follow(label, previous) for label in names] for previous in names])
            crf = LinearChainCRF(len(names), forbidden, torch.tensor([not may_follow(label) for label in names]))
        elif self.crf:
            crf = LinearChainCRF(len(names))
        return TaggerNet(encoder, len(names), crf)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Scores of each label at each word, (B, T, C), in float32 at least; without a CRF they are logits."""
        return at_least_float32(self.net(batch))

    def step(self, batch: dict[str, Tensor]) -> Step:
        """The loss in nats, summed over the sentences, and the number of words."""
        labels, mask, scores = batch["labels"], batch["word_mask"], self(batch)
        if self.net.crf is not None:
            loss_sum = -self.net.crf.log_likelihood(scores, labels, mask).sum()
        else:
            smoothing = self.label_smoothing if self.training else 0.0
            options: dict[str, Any] = {"ignore_index": IGNORED, "reduction": "sum", "label_smoothing": smoothing}
            loss_sum = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), **options)
        measured = {"preds": self.likeliest(scores.detach(), mask), "target": labels, **self.more_inputs(batch)}
        return Step(loss_sum, mask.sum(), measured)

    def more_inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Further inputs of the metrics."""
        return {}

    def likeliest(self, scores: Tensor, mask: Tensor) -> Tensor:
        """The predicted labels, (B, T), of scores (B, T, C)."""
        return scores.argmax(-1) if self.net.crf is None else self.net.crf.viterbi(scores, mask)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a sentence: its words, their predicted labels with their probabilities, and its spans if it has any.

        With a CRF, a probability is that of the label at its word, over all sequences.
        """
        mask, scores = batch["word_mask"], self(batch)
        labels = self.likeliest(scores, mask)
        all_probabilities = scores.softmax(-1) if self.net.crf is None else self.net.crf.marginals(scores, mask)
        probabilities = all_probabilities.gather(2, labels[:, :, None]).squeeze(2)
        rows = []
        columns = (batch["index"].tolist(), batch["words"], labels.tolist(), probabilities.tolist())
        for index, words, numbers, chances in zip(*columns, strict=True):
            names = [self.name_of(number) for number in numbers[: len(words)]]
            row = {"index": index, "words": words, "labels": names}
            row["probabilities"] = [round(chance, 6) for chance in chances[: len(words)]]
            if self.bio:
                row["spans"] = [
                    {"type": kind, "first": first, "last": after - 1, "text": " ".join(words[first:after])}
                    for kind, first, after in spans_of(names)
                ]
            rows.append(row)
        return rows

    @torch.no_grad()
    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The predicted labels of sentences, each a list of words, none of them empty.

        Raises:
            UserError: There is no tokenizer.
        """
        batch = {name: held.to(self.device) for name, held in required_tokenizer(self).batch(sentences).items()}
        with evaluating(self):
            labels = self.likeliest(self(batch), batch["word_mask"]).tolist()
        pairs = zip(labels, sentences, strict=True)
        return [[self.name_of(number) for number in numbers[: len(words)]] for numbers, words in pairs]

    def name_of(self, label: int) -> str:
        """A label's name."""
        return self.class_names[label]

    def measure(self, metrics: MetricCollection, step: Step) -> None:
        """Counts the confusions of validation and test too."""
        super().measure(metrics, step)
        if metrics is not self.train_metrics:
            self.confusion.update(step.metric_inputs["preds"], step.metric_inputs["target"])

    def on_validation_epoch_start(self) -> None:
        """Forgets the confusions counted before."""
        self.confusion.reset()

    def on_test_epoch_start(self) -> None:
        """Forgets the confusions counted before."""
        self.confusion.reset()

    def confusion_counts(self) -> Tensor | None:
        """Counts (C, C), true label by predicted label, of the latest validation or test; None without one.

        They are summed over ranks, all of which must call this.
        """
        return self.confusion.compute().cpu() if self.confusion.update_count else None


class TokenTagger(Tagger):
    """Embeddings of words and vectors of their characters, a net over the sentence, a label for each word.

    Ma & Hovy (2016) and Lample et al. (2016) have this form: a bidirectional LSTM, characters by convolutions or by
    another LSTM, a CRF.

    Args:
        vocab_size: Number of words; comes from the data.
        num_characters: Number of characters; comes from the data.
        class_names: The labels, in the order of their numbers; come from the data.
        net: The net over the sentence.
        crf: Score neighbouring labels, and predict the likeliest sequence.
        constrained: The CRF forbids transitions that the BIO scheme does not have, such as O to I-X. Other labels have
            none.
        label_smoothing: Fraction of the target that is spread over all labels while training (Szegedy et al. 2016); not
            with a CRF.
        optim: Optimiser and schedule. Muon needs encoder transformer.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_characters: int | None = None,
        class_names: list[str] | None = None,
        net: WordEncoderConfig = WordEncoderConfig(),
        crf: bool = False,
        constrained: bool = True,
        label_smoothing: float = 0.0,
        optim: OptimConfig = OptimConfig(learning_rate=2e-3, fused=True),
    ) -> None:
        names = required("class_names", class_names)
        super().__init__(names, crf, constrained, label_smoothing, optim, {"unknown_accuracy": UnknownAccuracy()})
        self.save_hyperparameters()
        config = group_from(WordEncoderConfig, net)
        self.vectors_file = config.embedding.vectors
        sizes = required("vocab_size", vocab_size), required("num_characters", num_characters)
        encoder = WordEncoder(*sizes, config)
        self.embeddings = [encoder.embedding]  # a list, not registered
        self.net = self.make_net(encoder)

    def more_inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Which words the vocabulary does not have."""
        return {"unknown": batch["input_ids"] == required_tokenizer(self).special["unk"]}

    def token_vectors(self) -> Tensor:
        """Embeddings of all words, (V, D)."""
        return self.embeddings[0].token_vectors()

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            UserError: The data has subwords.
        """
        super().setup(stage)
        if getattr(self.tokenizer, "wordpiece", None) is not None:
            raise UserError("tokenizer_path: TokenTagger reads words, not a pretrained tokenizer; leave the path out")
        if stage == "fit":
            take_unknown(self, self.embeddings)

    def on_fit_start(self) -> None:
        """Takes the spelling of the words from the tokenizer and pretrained vectors from their file."""
        start_embeddings(self, self.embeddings, self.vectors_file)


class PretrainedTagger(Tagger):
    """An encoder of transformers, of whose states each word has that of its first subword (Devlin et al. 2019).

    A checkpoint holds the encoder's configuration and all weights: it does not need the pretrained folder.

    Args:
        vocab_size: Number of subwords; comes from the data, whose tokenizer_path must be the encoder's.
        num_characters: Number of characters; comes from the data.
        class_names: The labels, in the order of their numbers; come from the data.
        net: The encoder, and which of its weights are trained. It is not pooled.
        characters: What is read of each word's characters beside the encoder's state; by default nothing.
        crf: Score neighbouring labels, and predict the likeliest sequence.
        constrained: The CRF forbids transitions that the BIO scheme does not have, such as O to I-X.
        label_smoothing: Fraction of the target that is spread over all labels while training; not with a CRF.
        layer_decay: Factor on the learning rate from each layer to the one below (Howard & Ruder 2018), above 0 and at
            most 1.
        head_learning_rate: Peak learning rate of characters, head and CRF; by default ``optim.learning_rate``.
        optim: Optimiser and schedule. The learning rate is that of the encoder's last layer, or of prompts or low-rank
            changes. Muon is not offered.

    Raises:
        UserError: A value is out of its range, or there is no such encoder.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_characters: int | None = None,
        class_names: list[str] | None = None,
        net: PretrainedEncoderConfig = PretrainedEncoderConfig(),
        characters: CharacterConfig = CharacterConfig(encoder="none"),
        crf: bool = False,
        constrained: bool = True,
        label_smoothing: float = 0.0,
        layer_decay: float = 1.0,
        head_learning_rate: float | None = None,
        optim: OptimConfig = OptimConfig(learning_rate=5e-5, weight_decay=0.01, schedule="wsd", fused=True),
    ) -> None:
        super().__init__(required("class_names", class_names), crf, constrained, label_smoothing, optim, {})
        self.save_hyperparameters()
        check_range("layer_decay", layer_decay, above=0, most=1)
        check_range("head_learning_rate", head_learning_rate, above=0)
        if self.optim.optimizer != "adamw":
            raise UserError(f"optim.optimizer {self.optim.optimizer} is not for PretrainedTagger; choose adamw")
        self.config = group_from(PretrainedEncoderConfig, net)
        if self.config.pooling != PretrainedEncoderConfig().pooling:
            raise UserError(f"net.pooling {self.config.pooling} is for texts; a tagger pools nothing: leave it out")
        if self.config.standardize:
            raise UserError("net.standardize is for vectors of texts; a tagger pools nothing: leave it out")
        self.layer_decay = layer_decay
        self.head_learning_rate = self.optim.learning_rate if head_learning_rate is None else head_learning_rate
        model = pretrained_model(self.config, vocab_size)
        self.hparams["net"]["encoder_config"] = config_text(model)
        encoder = PretrainedEncoder(model, replace(self.config, pooling="first"))  # which has no weights of its own
        read = group_from(CharacterConfig, characters)
        pieces = PieceEncoder(encoder, required("num_characters", num_characters), read, self.config.dropout)
        self.net = self.make_net(pieces)

    @property
    def encoder(self) -> PretrainedEncoder:
        """The pretrained encoder inside ``net``; no attribute, or its weights would have two names."""
        return self.net.encoder.encoder

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            UserError: The data has words in place of subwords.
        """
        super().setup(stage)
        if self.tokenizer is not None and getattr(self.tokenizer, "wordpiece", None) is None:
            raise UserError("tokenizer_path is not given; name the folder or the hub id of the encoder's tokenizer")

    def on_after_backward(self) -> None:
        """Removes the gradients of layers that are not yet unfrozen."""
        super().on_after_backward()
        if self.config.tuning == "gradual":
            remove_gradients(self.encoder, self.trainer.current_epoch * self.config.unfreeze_layers)

    def make_optimizer(self) -> Optimizer:
        """AdamW with a learning rate for each depth."""
        return layerwise_adamw(self, self.encoder, self.optim, self.head_learning_rate, self.layer_decay)
