"""Classifiers of texts without a pretrained net: recurrent, convolutional, Transformer, bag of words or of n-grams."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from seq_modules.nets.text.ngram_net import NgramConfig, NgramNet
from seq_modules.nets.text.text_encoder import TextEncoder, TextEncoderConfig
from seq_modules.systems.classifier import Classifier, LossConfig
from seq_modules.training.optim import OptimConfig, refuse_muon
from seq_modules.training.tokenizer import required_tokenizer
from seq_modules.training.word_embeddings import start_embeddings, take_unknown
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from, required


class TextClassifier(Classifier):
    """Embeddings, a net over them, pooling, a linear layer.

    Args:
        vocab_size: Number of tokens; comes from the data.
        num_classes: Number of classes; comes from the data.
        num_aux_classes: Classes of the auxiliary labels; comes from the data.
        pad_id: The token of padding; comes from the data.
        net: The net that makes one vector of a text.
        loss: The loss of training.
        ensemble_size: Nets of this kind whose probabilities are averaged; a training step trains one of them, in
            rotation. Attention and nearest tokens are shown of the first.
        optim: Optimiser and schedule. Muon needs encoder transformer.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        num_aux_classes: int = 0,
        pad_id: int = 0,
        net: TextEncoderConfig = TextEncoderConfig(),
        loss: LossConfig = LossConfig(),
        ensemble_size: int = 1,
        optim: OptimConfig = OptimConfig(learning_rate=1e-3, fused=True),
    ) -> None:
        super().__init__(required("num_classes", num_classes), num_aux_classes, loss, optim)
        self.save_hyperparameters()
        check_range("ensemble_size", ensemble_size, least=1)
        config = group_from(TextEncoderConfig, net)
        self.vectors_file = config.embedding.vectors
        encoders = [TextEncoder(required("vocab_size", vocab_size), pad_id, config) for _ in range(ensemble_size)]
        self.embeddings = [encoder.embedding for encoder in encoders]  # of all members
        self.make_net(encoders)

    def text_attention(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of a Transformer's self-attention, (B, L, H, T, T); of an ensemble, the first member's.

        None with another encoder.
        """
        return self.members[0].encoder.attention_maps(input_ids, mask.bool())

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            UserError: Tokens are to be dropped, and the tokenizer has no unknown one.
        """
        super().setup(stage)
        if stage == "fit":
            take_unknown(self, self.embeddings)

    def on_fit_start(self) -> None:
        """Takes the spelling of the tokens from the tokenizer and pretrained vectors from their file."""
        start_embeddings(self, self.embeddings, self.vectors_file)


class NgramClassifier(Classifier):
    """A linear classifier of n-grams that are scaled by their log-count ratios (Wang & Manning 2012).

    A fit counts the n-grams of the training texts, unless the net has n-grams already. Each weight is what one n-gram
    says for one class, so that predictions come with their reasons.

    Args:
        vocab_size: Number of tokens; comes from the data.
        num_classes: Number of classes; comes from the data.
        num_ngrams: Number of n-grams; a fit counts them, and a checkpoint has it.
        net: Which n-grams count, and how they are scaled.
        loss: The loss of training, without auxiliary labels.
        shown_ngrams: N-grams of each text that predict names, with what they add to the log-odds of the predicted
            class; 0 names none.
        optim: Optimiser and schedule. With "sgd", ``weight_decay`` is an L2 penalty of the weights.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    net: NgramNet

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        num_ngrams: int = 0,
        net: NgramConfig = NgramConfig(),
        loss: LossConfig = LossConfig(),
        shown_ngrams: int = 5,
        optim: OptimConfig = OptimConfig(learning_rate=4.0, optimizer="sgd", momentum=0.9, schedule="wsd"),
    ) -> None:
        super().__init__(required("num_classes", num_classes), 0, loss, optim)
        self.save_hyperparameters()
        check_range("num_ngrams", num_ngrams, least=0)
        check_range("shown_ngrams", shown_ngrams, least=0)
        if self.loss_config.aux_weight:
            raise UserError("loss.aux_weight must be 0: NgramClassifier has no auxiliary labels")
        refuse_muon(self.optim)
        self.shown_ngrams = shown_ngrams
        config = group_from(NgramConfig, net)
        self.net = NgramNet(required("vocab_size", vocab_size), self.num_classes, config, num_ngrams)

    def setup(self, stage: str) -> None:
        """See the base class; counts the n-grams of the training texts, unless a checkpoint is to bring them."""
        super().setup(stage)
        resumed = getattr(self.trainer, "ckpt_path", None) is not None and self.hparams["num_ngrams"]
        if stage == "fit" and not self.net.is_counted and not resumed:
            self.net.count(training_batches(getattr(self.trainer, "datamodule", None)))
            self.hparams["num_ngrams"] = len(self.net.keys) - 1

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """See the base class; ``ngrams`` are those that speak most for the class or against it, the strongest first."""
        found = super().predict_step(batch, batch_idx)
        if not self.shown_ngrams or self.tokenizer is None:
            return found
        ids, mask = batch["input_ids"], batch["attention_mask"].bool()
        rows = self.net.rows(ids, mask)  # (B, P)
        votes = self.net.votes()[rows, self(ids, mask).argmax(-1)[:, None]]
        best = votes.abs().topk(min(self.shown_ngrams, rows.shape[1])).indices
        return [
            row | {"ngrams": self._named(ngrams, values)}
            for row, ngrams, values in zip(found, rows.gather(1, best), votes.gather(1, best), strict=True)
        ]

    def heaviest_ngrams(self, label: int, count: int) -> list[tuple[str, float]]:
        """The n-grams that speak most for a class, the strongest first, with what they add to its log-odds.

        Args:
            label: The class.
            count: How many, or as many as there are.
        """
        values, rows = self.net.votes()[1:, label].topk(min(count, len(self.net.keys) - 1))
        return self._named(rows + 1, values)

    def _named(self, rows: Tensor, values: Tensor) -> list[tuple[str, float]]:
        pieces = required_tokenizer(self).pieces
        pairs = zip(rows.tolist(), values.tolist(), strict=True)
        return [(" ".join(pieces(self.net.tokens(row))), round(value, 4)) for row, value in pairs if row]

    def token_vectors(self) -> Tensor:
        """What each token alone adds to the logits, (V, C)."""
        return self.net.token_logits()

    def token_weights(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """None: there is no attention."""
        return None


def training_batches(data: Any, size: int = 256) -> Iterator[dict[str, Tensor]]:
    """Batches of all training rows of a datamodule, each row once.

    Raises:
        UserError: There is no datamodule that holds its rows.
    """
    rows = getattr(data, "train_set", None)
    if rows is None:
        raise UserError(
            "datamodule is missing: NgramClassifier counts its training rows; give fit one, such as ReviewsDataModule"
        )
    for start in range(0, len(rows), size):
        yield rows.__getitems__(list(range(start, min(start + size, len(rows)))))
