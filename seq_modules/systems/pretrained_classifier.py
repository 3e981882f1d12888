"""Classifiers of texts on a pretrained encoder: all of it fine-tuned, or parts, or prompts, or low-rank changes."""

import json
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor
from torch.optim import Optimizer

from seq_modules.callbacks.training.frozen_vectors import FrozenVectors
from seq_modules.nets.pretrained.class_texts import ordered_texts, start_from_class_texts
from seq_modules.nets.pretrained.encoder import PretrainedEncoder, PretrainedEncoderConfig
from seq_modules.nets.pretrained.loading import config_text, from_config_text, load_pretrained
from seq_modules.systems.classifier import Classifier, LossConfig
from seq_modules.training.layer_rates import layerwise_adamw, remove_gradients
from seq_modules.training.optim import OptimConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range, group_from, required

SPARE_TOKENS = 1024  # by so many rows an encoder's table of embeddings may be longer than its vocabulary


class PretrainedClassifier(Classifier):
    """Any encoder of transformers, pooling, dropout, a linear layer (Devlin et al. 2019).

    A checkpoint holds the encoder's configuration and all weights: it does not need the pretrained folder.

    Args:
        vocab_size: Number of tokens; comes from the data, whose tokenizer must be the encoder's.
        num_classes: Number of classes; comes from the data.
        num_aux_classes: Classes of the auxiliary labels; comes from the data.
        net: The encoder, its pooling, and which of its weights are trained.
        loss: The loss of training.
        layer_decay: Factor on the learning rate from each layer to the one below (Howard & Ruder 2018), above 0 and at
            most 1.
        head_learning_rate: Peak learning rate of pooling and heads; by default ``optim.learning_rate``. With 0, and
            ``net.tuning`` frozen, nothing is trained.
        class_texts: Texts that describe the classes, by their names. The head for the labels starts from their vectors
            and so answers without training: see nets/pretrained/class_texts.py. By default it starts at random.
        optim: Optimiser and schedule. The learning rate is that of the encoder's last layer, or of prompts or low-rank
            changes. Muon is not offered.

    Raises:
        UserError: A value is out of its range, or there is no such encoder.
    """

    head_is_set: Tensor

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        num_aux_classes: int = 0,
        net: PretrainedEncoderConfig = PretrainedEncoderConfig(),
        loss: LossConfig = LossConfig(),
        layer_decay: float = 1.0,
        head_learning_rate: float | None = None,
        class_texts: dict[str, str] | None = None,
        optim: OptimConfig = OptimConfig(learning_rate=5e-5, weight_decay=0.01, schedule="wsd", fused=True),
    ) -> None:
        super().__init__(required("num_classes", num_classes), num_aux_classes, loss, optim)
        self.save_hyperparameters()
        check_range("layer_decay", layer_decay, above=0, most=1)
        check_range("head_learning_rate", head_learning_rate, least=0)
        if self.optim.optimizer != "adamw":
            raise UserError(f"optim.optimizer {self.optim.optimizer} is not for PretrainedClassifier; choose adamw")
        self.layer_decay = layer_decay
        self.head_learning_rate = self.optim.learning_rate if head_learning_rate is None else head_learning_rate
        self.config = group_from(PretrainedEncoderConfig, net)
        model = pretrained_model(self.config, vocab_size)
        self.hparams["net"]["encoder_config"] = config_text(model)
        self.make_net([PretrainedEncoder(model, self.config)])
        self.class_texts = class_texts
        if class_texts is not None:
            if self.config.pooling == "attention":
                raise UserError("class_texts: net.pooling attention says nothing before it is trained; choose mean")
            if self.config.standardize:
                raise UserError("class_texts: net.standardize knows no mean before training; leave one of them out")
            self.register_buffer("head_is_set", torch.tensor(False))  # saved: a trained head is never set anew

    @property
    def encoder(self) -> PretrainedEncoder:
        """The encoder inside ``net``; no attribute, or its weights would have two names."""
        return self.members[0].encoder

    def configure_callbacks(self) -> list[Callback]:
        """Adds the callback that keeps a frozen encoder's vectors."""
        return [*super().configure_callbacks(), FrozenVectors(self.encoder)]

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            UserError: The first token is pooled or begins each chunk, and the data puts no [CLS] there; a text is
                longer than the encoder's positions; or ``class_texts`` are not those of the data's classes.
        """
        super().setup(stage)
        data: Any = getattr(self.trainer, "datamodule", None)
        self.encoder.check_length(getattr(data, "longest", 0))
        self._check_special_tokens(data)
        if self.class_texts is not None and self.class_names is not None and not self.head_is_set:
            texts = ordered_texts(self.class_texts, self.class_names)
            start_from_class_texts(self.members[0], list(map(torch.from_numpy, data.encode(texts, "class_texts"))))
            self.head_is_set.fill_(True)

    def _check_special_tokens(self, data: Any) -> None:
        """Refuses a reading of [CLS] that the data does not put there."""
        if getattr(data, "special_tokens", True):
            return
        if self.config.pooling in ("pooler", "first"):
            raise UserError(
                f"net.pooling {self.config.pooling} reads the first token as [CLS], which the data does not put there; "
                "give --data.tokens.special_tokens true, or --model.net.pooling mean"
            )
        if self.config.chunks.size is not None:
            raise UserError(
                f"net.chunks.size {self.config.chunks.size}: each chunk begins with the text's [CLS], which the data "
                "does not put there; give --data.tokens.special_tokens true"
            )

    def on_validation_start(self) -> None:
        """Gives all processes the same mean and variance to standardize by, before they are used or saved."""
        if (norm := self.encoder.norm) is not None and self.trainer.state.fn == "fit":
            for name in ("running_mean", "running_var"):
                part = norm.get_buffer(name)
                part.copy_(self.trainer.strategy.reduce(part.clone(), reduce_op="mean"))

    def on_after_backward(self) -> None:
        """Removes the gradients of layers that are not yet unfrozen."""
        super().on_after_backward()
        if self.config.tuning == "gradual":
            remove_gradients(self.encoder, self.trainer.current_epoch * self.config.unfreeze_layers)

    def make_optimizer(self) -> Optimizer:
        """AdamW with a learning rate for each depth."""
        return layerwise_adamw(self, self.encoder, self.optim, self.head_learning_rate, self.layer_decay)


def pretrained_model(config: PretrainedEncoderConfig, vocab_size: int | None) -> Any:
    """The encoder of transformers that the group names: from its configuration, a folder or the hub.

    Raises:
        UserError: None is named, it cannot be loaded, or its vocabulary is not the data's.
    """
    model: Any
    if (given := config.encoder_config) is not None:
        model = from_config_text(given if isinstance(given, str) else json.dumps(given), config.attention_dropout)
        if vocab_size is not None and vocab_size > model.config.vocab_size:
            raise UserError(f"vocab_size {vocab_size} is more than the encoder_config's {model.config.vocab_size}")
        return model
    if config.pretrained is None:
        raise UserError("net.pretrained is not given; name the folder or the hub id of an encoder")
    model = load_pretrained(config.pretrained, config.attention_dropout, config.revision)
    embeddings = model.config.vocab_size
    if vocab_size is not None and not embeddings - SPARE_TOKENS <= vocab_size <= embeddings:
        raise UserError(
            f"vocab_size {vocab_size} of the data's tokenizer is not the encoder's {embeddings}; take the encoder's "
            f"tokenizer: --data.tokenizer_path {config.pretrained}, where it is BERT's WordPiece"
        )
    return model
