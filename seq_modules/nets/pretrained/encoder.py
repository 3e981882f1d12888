"""A pretrained encoder of the transformers library, and which of its weights are trained.

B batch, T time, P soft prompts, D the encoder's width, W numbers of a text's vector, L layers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from seq_modules.nets.pretrained.chunks import ChunkConfig, chunked_states
from seq_modules.nets.pretrained.loading import config_text
from seq_modules.nets.pretrained.lora import adapt
from seq_modules.nets.pretrained.vector_cache import VectorCache, fingerprint
from seq_modules.nets.text.pooling import Pooling
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Tuning = Literal["full", "frozen", "gradual", "prefix", "lora"]
PretrainedPool = Literal["pooler", "first", "mean", "max", "attention"]
LoRATargets = Literal["queries_values", "all"]
# Names of the projections to queries and values in BERT and ELECTRA, DistilBERT, MPNet, DeBERTa, ModernBERT.
QUERIES_VALUES = {"query", "value", "q_lin", "v_lin", "q", "v", "query_proj", "value_proj", "Wqkv"}


@dataclass(frozen=True)
class PrefixConfig:
    """Soft prompts: trained vectors before the embeddings of each text (Lester et al. 2021).

    Attributes:
        length: Number of soft prompts, P, at least 1.
        deep: Other trained vectors take the prompts' places before every later layer (Jia et al. 2022; Li & Liang 2021
            do so to keys and values).
    """

    length: int = 10
    deep: bool = False

    def __post_init__(self) -> None:
        check_range("net.prefix.length", self.length, least=1)


@dataclass(frozen=True)
class LoRAConfig:
    """Low-rank changes of frozen linear layers (Hu et al. 2022).

    Attributes:
        rank: Rank of the changes, at least 1.
        alpha: Scale of the changes, divided by the rank.
        targets: Linear layers that are changed: those of queries and values, or all.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: LoRATargets = "queries_values"

    def __post_init__(self) -> None:
        check_range("net.lora.rank", self.rank, least=1)
        check_choice("net.lora.targets", self.targets, LoRATargets)


@dataclass(frozen=True)
class PretrainedEncoderConfig:
    """A pretrained encoder, and which of its weights are trained.

    Attributes:
        pretrained: Folder or hub id of an encoder with safetensors whose tokenizer is BERT's WordPiece: BERT,
            DistilBERT, ELECTRA, MiniLM and similar. (From Python, with ids of one's own, others work too.)
        revision: Branch, tag or commit of the hub's model.
        encoder_config: The encoder's configuration (a mapping with model_type, or its JSON) in place of ``pretrained``.
            Weights are then untrained, or those of the checkpoint, which saves this.
        tuning: What is trained: all ("full"); the heads alone ("frozen"); all, but from the top down, more layers each
            epoch ("gradual"; Howard & Ruder 2018); soft prompts ("prefix"); low-rank changes ("lora").
        pooling: BERT's own layer over the first token ("pooler"), the "first" token's state, or the "mean", "max" or
            additive "attention" over all true tokens, [CLS] and [SEP] included.
        attention_size: Width of the additive attention's scores.
        pooled_layers: Number of last layers, N, whose states are joined before pooling, so that a text's vector has N·D
            numbers. For frozen encoders: their middle layers hold what their last one has no use for (Devlin et al.
            2019, section 5.3, join four).
        standardize: Each number of a frozen encoder's vector is brought to mean 0 and variance 1 by batch normalisation
            without weights, as before the linear layer of a probe (He et al. 2022, "Masked Autoencoders", A.1).
        dropout: Fraction of the vector's numbers dropped while training; the encoder has its own besides.
        attention_dropout: Fraction of the encoder's attention weights dropped while training; by default the encoder's
            own. With 0 PyTorch uses its fused kernel, which on a CPU trains long texts up to twice as fast.
        unfreeze_layers: Layers that each epoch adds with tuning "gradual"; the first epoch trains the heads alone.
        prefix: Soft prompts.
        lora: Low-rank changes.
        chunks: How texts that are longer than the encoder's positions are cut into overlapping chunks.

    Raises:
        UserError: A value is out of its range.
    """

    pretrained: str | None = None
    revision: str | None = None
    encoder_config: str | dict[str, Any] | None = None
    tuning: Tuning = "full"
    pooling: PretrainedPool = "mean"
    attention_size: int = 64
    pooled_layers: int = 1
    standardize: bool = False
    dropout: float = 0.1
    attention_dropout: float | None = None
    unfreeze_layers: int = 1
    prefix: PrefixConfig = PrefixConfig()
    lora: LoRAConfig = LoRAConfig()
    chunks: ChunkConfig = ChunkConfig()

    def __post_init__(self) -> None:
        check_choice("net.tuning", self.tuning, Tuning)
        check_choice("net.pooling", self.pooling, PretrainedPool)
        check_range("net.attention_size", self.attention_size, least=1)
        check_range("net.pooled_layers", self.pooled_layers, least=1)
        if self.standardize and self.tuning != "frozen":
            raise UserError(
                f"net.standardize is for vectors that stay as they are: net.tuning frozen, not {self.tuning}"
            )
        check_range("net.dropout", self.dropout, least=0, below=1)
        check_range("net.attention_dropout", self.attention_dropout, least=0, below=1)
        check_range("net.unfreeze_layers", self.unfreeze_layers, least=1)


class PretrainedEncoder(nn.Module):
    """A pretrained encoder with pooling, and with soft prompts or low-rank changes where those are trained.

    Args:
        model: A model of transformers that takes input_ids or inputs_embeds and gives last_hidden_state.
        config: Pooling and tuning; or its fields by name, as ``PretrainedEncoder(model, tuning="lora")``.

    Attributes:
        width: Numbers of a text's vector, W: D for each of the pooled layers.
        cache: The vectors made before, while they are wanted; see :meth:`use_cache`.

    Raises:
        UserError: An option does not go with the model.
    """

    def __init__(self, model: Any, config: PretrainedEncoderConfig | None = None, **fields: Any) -> None:
        super().__init__()
        config = PretrainedEncoderConfig(**fields) if config is None else config
        if model.config.is_encoder_decoder or not isinstance(getattr(model.config, "hidden_size", None), int):
            raise UserError(f"net.pretrained {type(model).__name__}: not an encoder alone; choose one such as BERT")
        self.model, self.config, self.dropout = model, config, config.dropout
        self.width = int(model.config.hidden_size) * config.pooled_layers
        self.tuning, self.chunks, pooling = config.tuning, config.chunks, config.pooling
        self.pool_first = pooling == "first"
        if pooling == "pooler" and getattr(model, "pooler", None) is None:
            raise UserError(f"net.pooling pooler is not in {type(model).__name__}; choose first or mean")
        if pooling != "pooler" and hasattr(model, "pooler"):
            model.pooler = None
        if pooling == "pooler" and config.pooled_layers > 1:
            raise UserError(
                f"net.pooled_layers {config.pooled_layers}: net.pooling pooler reads the last alone; give 1"
            )
        kind: Any = None if pooling in ("pooler", "first") else pooling
        self.pooling = Pooling(self.width, kind, attention_size=config.attention_size) if kind else None
        # momentum None: the mean over all batches so far, of vectors that do not change
        self.norm = nn.BatchNorm1d(self.width, momentum=None, affine=False) if config.standardize else None
        self.cache: VectorCache | None = None
        if config.pooled_layers > len(self.layers):
            raise UserError(f"net.pooled_layers {config.pooled_layers}: the encoder has {len(self.layers)} layers")
        if self.tuning in ("frozen", "prefix", "lora"):
            model.requires_grad_(False)
        self.prefix: Parameter | None = None
        if self.tuning == "prefix":
            self._make_prefix(config.prefix.length, config.prefix.deep)
        if self.tuning == "lora":
            targets = config.lora.targets
            wanted = QUERIES_VALUES.__contains__ if targets == "queries_values" else lambda name: True
            if not adapt(self.layers, wanted, config.lora.rank, config.lora.alpha):
                raise UserError(f"net.lora.targets {targets}: not found by name in {type(model).__name__}; choose all")
        self.train()  # transformers gives models in evaluation mode, and Lightning leaves each as it is

    def _make_prefix(self, length: int, deep: bool) -> None:
        words = self.model.get_input_embeddings().weight.detach()
        drawn = words[torch.randint(len(words), (length,))].clone()  # Lester et al. found a start from words best
        later = torch.randn(len(self.layers) - 1 if deep else 0, length, words.shape[1]) * words.std()
        self.prefix = Parameter(torch.cat((drawn[None], later)))  # (1 or L, P, D)
        for layer in range(1, len(self.prefix)):
            self.layers[layer].register_forward_pre_hook(self._prompt_hook(layer), with_kwargs=True)

    def _prompt_hook(self, layer: int) -> Any:
        """A hook that puts trained vectors in the prompts' places before a layer."""

        def put(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            assert self.prefix is not None
            hidden = args[0] if args else kwargs["hidden_states"]
            prompts = self.prefix[layer].to(hidden.dtype).expand(hidden.shape[0], -1, -1)
            hidden = torch.cat((prompts, hidden[:, prompts.shape[1] :]), dim=1)
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

        return put

    @property
    def layers(self) -> nn.ModuleList:
        """The model's layers; no attribute, or their weights would have two names."""
        return layers_of(self.model)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(B, W) of ids (B, T), padded on the right, and their mask (B, T) of booleans."""
        vectors = self.pooled(input_ids, mask) if self.cache is None else self.cache(self.pooled, input_ids, mask)
        if self.norm is not None:
            self.norm.train(self.training and len(vectors) > 1)  # one vector alone has no variance
            vectors = self.norm(vectors)
        return F.dropout(vectors, self.dropout, self.training)

    def pooled(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """The texts' vectors (B, W) as the encoder and its pooling make them."""
        hidden = self.states(input_ids, mask)
        if self.pooling is not None:
            return self.pooling(hidden, mask)
        # The first true token, where rows are padded on the right, is number 0.
        return hidden[:, 0] if self.pool_first else self.model.pooler(hidden)

    def use_cache(self, folder: Path | None, *options: object) -> None:
        """Keeps the vectors of texts, where no training can change them: a frozen encoder, pooled without weights.

        Args:
            folder: Where they are kept in a file of this encoder's own; None: in memory alone.
            options: What vectors depend on besides the encoder, such as the precision.
        """
        if self.tuning == "frozen" and self.config.pooling != "attention":
            parts = config_text(self.model), self.config.pooling, self.config.pooled_layers, self.chunks, *options
            name = fingerprint(self.model, *parts)
            self.cache = VectorCache(None if folder is None else folder / f"{name}.safetensors")

    def states(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """The tokens' states, (B, T, W): the last layer's, or those of the pooled layers side by side.

        Raises:
            UserError: The texts are longer than the encoder's positions.
        """
        self.check_length(input_ids.shape[1])
        if self.tuning == "frozen":
            self.model.eval()  # no dropout: its states are the same each time; at the start Lightning would warn of it
        if self.chunks.size is None:
            return self._read(input_ids, mask)
        return chunked_states(self._read, input_ids, mask, self.chunks)

    def _read(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """The states of ids that are read at once."""
        if self.prefix is None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.tuning != "frozen"):
                return self._layers_read(input_ids=input_ids, attention_mask=mask.long())
        words = self.model.get_input_embeddings()(input_ids)
        prompts = self.prefix.shape[1]
        first = self.prefix[0].to(words.dtype).expand(words.shape[0], -1, -1)
        words = torch.cat((first, words), dim=1)  # (B, P + T, D)
        visible = F.pad(mask.long(), (prompts, 0), value=1)
        return self._layers_read(inputs_embeds=words, attention_mask=visible)[:, prompts:]

    def _layers_read(self, **inputs: Tensor) -> Tensor:
        """The states of the pooled layers, side by side."""
        if self.config.pooled_layers == 1:
            return self.model(**inputs).last_hidden_state
        found = self.model(**inputs, output_hidden_states=True)
        return torch.cat((*found.hidden_states[-self.config.pooled_layers : -1], found.last_hidden_state), dim=-1)

    def check_length(self, tokens: int) -> None:
        """Refuses texts, or chunks of texts, that with the prompts are longer than the encoder's positions."""
        prompts = 0 if self.prefix is None else self.prefix.shape[1]
        longest = getattr(self.model.config, "max_position_embeddings", None)
        read, name, remedy = tokens, "tokens.max_seq_len", "give the data a lower one, or cut texts: net.chunks.size"
        if self.chunks.size is not None and self.chunks.size < tokens:
            read, name, remedy = self.chunks.size, "net.chunks.size", "give a lower one"
        if longest is not None and read + prompts > longest:
            raise UserError(
                f"{name}: {read} tokens and {prompts} prompts are more than the encoder's {longest} positions; {remedy}"
            )

    def token_weights(self, input_ids: Tensor, mask: Tensor) -> Tensor | None:
        """Weights of the additive attention, (B, T), each row with the sum 1; None with another pooling."""
        if self.pooling is None or self.pooling.attention is None:
            return None
        return self.pooling.attention(self.states(input_ids, mask), mask)

    def token_vectors(self) -> Tensor:
        """Embeddings of the tokens, (V, D)."""
        return self.model.get_input_embeddings().weight.detach()

    def by_depth(self) -> Iterator[tuple[int, list[Parameter]]]:
        """Parameters of the pretrained net by their depth: 0 for embeddings, 1 to L for layers, L + 1 for the rest."""
        inside = {p: depth for depth, layer in enumerate(self.layers, start=1) for p in layer.parameters()}
        first = next(iter(inside))
        before = True  # what stands before the layers is the embeddings, what stands behind them the rest
        groups: dict[int, list[Parameter]] = {}
        for parameter in self.model.parameters():
            before = before and parameter is not first
            depth = inside.get(parameter, 0 if before else len(self.layers) + 1)
            groups.setdefault(depth, []).append(parameter)
        yield from sorted(groups.items())

    def below(self, count: int) -> Iterator[Parameter]:
        """Parameters below the last ``count`` layers and what stands behind them; none from L + 1 on."""
        depths = len(self.layers)
        for depth, parameters in self.by_depth():
            if depth <= depths - count if depth else count <= depths:
                yield from parameters


def layers_of(model: Any) -> nn.ModuleList:
    """The list of an encoder's layers.

    Raises:
        UserError: There is no such list.
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and count:
            return module
    raise UserError(f"net.pretrained {type(model).__name__}: it has no list of layers; choose an encoder such as BERT")
