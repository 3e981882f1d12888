"""Classifiers of texts on a pretrained encoder: all of it fine-tuned, or parts, or prompts, or low-rank changes."""

import json
from typing import Any, Literal

from torch.optim import Optimizer

from seq_modules.nets.text.bert import PretrainedEncoder, config_text, from_config_text, load_pretrained
from seq_modules.systems.classifier import Classifier
from seq_modules.training.optim import Schedule, adamw
from seqlight.core.checks import required
from seqlight.core.errors import UserError

SPARE_TOKENS = 1024  # by so much an encoder's table of embeddings may be longer than its vocabulary


class PretrainedClassifier(Classifier):
    """Any encoder of transformers, pooling, dropout, a linear layer (Devlin et al. 2019).

    A checkpoint holds the encoder's configuration and all weights: it needs the pretrained folder no more.

    Args:
        vocab_size: Number of tokens; comes from the data, whose tokenizer must be the encoder's.
        num_classes: Number of classes; comes from the data.
        num_aux_classes: Classes of the other label level; comes from the data.
        pretrained: Folder or hub id of an encoder with safetensors, whose tokenizer is BERT's WordPiece: BERT,
            DistilBERT, ELECTRA, MiniLM and their kin. (In Python, with ids of one's own, others work too.)
        revision: Branch, tag or commit of the hub's model.
        encoder_config: The encoder's configuration (a mapping with model_type, or its JSON) in place of ``pretrained``:
            weights are then those of a checkpoint, which brings this, or untrained.
        tuning: What is trained: all, the head alone ("frozen"), all but from the top down, more layers each epoch
            ("gradual"; Howard & Ruder 2018), soft prompts (Lester et al. 2021), or low-rank changes (Hu et al. 2022).
        pooling: BERT's own layer over the first token, the first token's state, or the mean, the maximum or additive
            attention over all tokens.
        prefix_length: Number of soft prompts.
        prefix_deep: Prompts before every layer, not before the first alone.
        lora_rank: Rank of the changes.
        lora_alpha: Scale of the changes, divided by the rank.
        lora_targets: Linear layers that are changed: of queries and values, or all.
        unfreeze_layers: Of "gradual": layers that each epoch adds; the first trains the head alone.
        attention_size: Width of the additive attention's scores.
        dropout: Share of the sentence's vector dropped while training; the encoder has its own.
        attention_dropout: Share of the attention's weights dropped while training; by default the encoder's own. With 0
            PyTorch takes its fused kernel, which on a CPU makes training on long texts up to twice as quick.
        aux_weight: Weight of the loss of the other label level; 0 leaves it out.
        label_smoothing: Share of the target spread over all classes while training.
        class_weights: Weight of each class's loss while training, or "balanced".
        learning_rate: Peak learning rate of the encoder's last layer, or of the prompts or changes.
        layer_decay: Factor on the learning rate from each layer to the one below (Howard & Ruder 2018); 1 for one rate.
        head_learning_rate: Peak learning rate of pooling and heads; by default learning_rate.
        weight_decay: Weight decay of matrices.
        warmup_steps: Steps of linear warm-up.
        schedule: What the learning rate does afterwards.
        decay_fraction: For schedule "wsd": the share of the training at its end over which the rate falls.
        min_lr_ratio: What is left of the learning rate at the end of a falling schedule.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        num_classes: int | None = None,
        num_aux_classes: int = 0,
        pretrained: str | None = None,
        revision: str | None = None,
        encoder_config: str | dict[str, Any] | None = None,
        tuning: Literal["full", "frozen", "gradual", "prefix", "lora"] = "full",
        pooling: Literal["pooler", "first", "mean", "max", "attention"] = "mean",
        prefix_length: int = 10,
        prefix_deep: bool = False,
        lora_rank: int = 8,
        lora_alpha: float = 16.0,
        lora_targets: Literal["queries_values", "all"] = "queries_values",
        unfreeze_layers: int = 1,
        attention_size: int = 64,
        dropout: float = 0.1,
        attention_dropout: float | None = None,
        aux_weight: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
        learning_rate: float = 5e-5,
        layer_decay: float = 1.0,
        head_learning_rate: float | None = None,
        weight_decay: float = 0.01,
        warmup_steps: int = 0,
        schedule: Schedule = "wsd",
        decay_fraction: float = 1.0,
        min_lr_ratio: float = 0.0,
    ) -> None:
        super().__init__(
            required("num_classes", num_classes),
            num_aux_classes,
            aux_weight,
            label_smoothing,
            class_weights,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            schedule=schedule,
            decay_fraction=decay_fraction,
            min_lr_ratio=min_lr_ratio,
        )
        self.save_hyperparameters(logger=False)
        if not 0 < layer_decay <= 1:
            raise UserError(f"layer_decay must be above 0 and at most 1, not {layer_decay}")
        if head_learning_rate is not None and not head_learning_rate > 0:
            raise UserError(f"head_learning_rate must be above 0, not {head_learning_rate}")
        if attention_dropout is not None and not 0 <= attention_dropout < 1:
            raise UserError(f"attention_dropout must be at least 0 and below 1, not {attention_dropout}")
        if unfreeze_layers < 1:
            raise UserError(f"unfreeze_layers must be at least 1, not {unfreeze_layers}")
        self.first_token = pooling in ("pooler", "first")
        self.tuning, self.unfreeze_layers, self.layer_decay = tuning, unfreeze_layers, layer_decay
        self.head_learning_rate = learning_rate if head_learning_rate is None else head_learning_rate
        model: Any
        if encoder_config is not None:
            text = encoder_config if isinstance(encoder_config, str) else json.dumps(encoder_config)
            model = from_config_text(text, attention_dropout)
            if vocab_size is not None and vocab_size > model.config.vocab_size:
                raise UserError(f"vocab_size {vocab_size} is more than the encoder_config's {model.config.vocab_size}")
        elif pretrained is not None:
            model = load_pretrained(pretrained, attention_dropout, revision)
            self._check_vocabulary(vocab_size, model.config.vocab_size, pretrained)
        else:
            raise UserError("pretrained is not given; name the folder or the hub id of an encoder")
        self.hparams["encoder_config"] = config_text(model)
        self.net: PretrainedEncoder = PretrainedEncoder(
            model,
            pooling,
            tuning,
            prefix_length=prefix_length,
            prefix_deep=prefix_deep,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            lora_targets=lora_targets,
            attention_size=attention_size,
            dropout=dropout,
        )
        self.make_heads(self.net.width)

    @staticmethod
    def _check_vocabulary(tokens: int | None, embeddings: int, pretrained: str) -> None:
        if tokens is not None and not embeddings - SPARE_TOKENS <= tokens <= embeddings:
            raise UserError(
                f"vocab_size {tokens} of the data's tokenizer is not the encoder's {embeddings}; take the encoder's "
                f"tokenizer: --data.tokenizer_path {pretrained}, where it is BERT's WordPiece"
            )

    def setup(self, stage: str) -> None:
        """See the base class.

        Raises:
            ValueError: What is pooled is the first token, and the data puts no [CLS] there; or a text is longer than
                the encoder's positions.
        """
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        self.net.check_length(getattr(data, "longest", 0))
        if self.first_token and not getattr(data, "special_tokens", True):
            raise UserError(
                "pooling reads the first token as [CLS], which the data does not put there; give --data.special_tokens "
                "true, or --model.pooling mean"
            )

    def on_after_backward(self) -> None:
        """Takes from layers whose epoch has not come their gradients, without which the optimiser passes them by.

        They keep requires_grad: DDP and averages of weights ask for it once, before the first step.
        """
        if self.tuning == "gradual":
            for parameter in self.net.below(self.trainer.current_epoch * self.unfreeze_layers):
                parameter.grad = None

    def _optimizer(self) -> Optimizer:
        """AdamW with a rate for each depth, of which Lightning's one optimiser has a group each."""
        by_depth = dict(self.net.by_depth())
        pretrained = {p for group in by_depth.values() for p in group}
        prompts = [] if self.net.prefix is None else [self.net.prefix]
        heads = [p for p in self.parameters() if p not in pretrained and p is not self.net.prefix]
        top = len(self.net.layers)
        rates = [(heads, self.head_learning_rate), (prompts, self.learning_rate)]
        for depth, group in by_depth.items():
            rates.append((group, self.learning_rate * self.layer_decay ** max(0, top - depth)))
        made = [
            adamw(group, rate, self.weight_decay, self.betas, self.fused_adamw)
            for group, rate in rates
            if any(p.requires_grad for p in group)
        ]
        optimizer, *others = made
        for other in others:
            for settings in other.param_groups:
                optimizer.add_param_group(settings)
        return optimizer
