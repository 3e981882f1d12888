"""Pretrained encoders of the transformers library, and what of them is trained.

B batch, T time, P soft prompts, D width, L layers.

Weights are read from safetensors alone, which hold numbers and nothing else, and no code that comes with a model is
run. The configuration is a plain text, from which the same net is made without its folder.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from seq_modules.nets.text.lora import adapt
from seq_modules.nets.text.pooling import Pooling
from seqlight.core.checks import check_choice
from seqlight.core.errors import UserError

Tuning = Literal["full", "frozen", "gradual", "prefix", "lora"]
BertPool = Literal["pooler", "first", "mean", "max", "attention"]
LoRATargets = Literal["queries_values", "all"]
# Names of the projections to queries and values in BERT and ELECTRA, DistilBERT, MPNet, DeBERTa, ModernBERT.
QUERIES_VALUES = {"query", "value", "q_lin", "v_lin", "q", "v", "query_proj", "value_proj", "Wqkv"}
# Names of the attention's dropout in configurations: of BERT and most others; of DistilBERT and ModernBERT.
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
LONGEST_CONFIG = 100_000  # characters
# What a configuration says of where a net comes from and of how it is run: nothing of the net itself, but some of it
# makes transformers load code or weights (kernels and backbones from the hub, quantisers).
NOT_THE_NET = {
    "_name_or_path", "name_or_path", "architectures", "auto_map", "custom_pipelines", "dtype", "torch_dtype",
    "quantization_config", "return_dict", "transformers_version", "trust_remote_code", "use_kernels", "code_revision",
}  # fmt: skip


def set_attention_dropout(config: Any, share: float | None) -> None:
    """Writes it into a configuration of transformers, before a net is made from that; None leaves it as it is.

    Raises:
        ValueError: The configuration has no such thing.
    """
    if share is None:
        return
    names = [name for name in ATTENTION_DROPOUT if hasattr(config, name)]
    if not names:
        raise UserError(f"a {config.model_type} encoder has no attention_dropout; leave it out")
    for name in names:
        setattr(config, name, share)


def load_pretrained(source: str, attention_dropout: float | None = None, revision: str | None = None) -> nn.Module:
    """The encoder in a folder or on the hub, in float32.

    Args:
        source: Folder or hub id.
        attention_dropout: See :func:`set_attention_dropout`.
        revision: Branch, tag or commit of the hub's model.

    Raises:
        ValueError: There is none, it has no safetensors, or transformers does not know it.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # else a table of the weights that are left out, which heads of other tasks are
    logging.disable_progress_bar()
    folder = Path(source).expanduser()
    if not folder.is_dir() and (folder.is_absolute() or source.startswith(("./", "../", "~"))):
        raise UserError(f"pretrained {source}: no such folder; give one that has config.json and model.safetensors")
    name = str(folder) if folder.is_dir() else source
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, revision=revision or "main")
        set_attention_dropout(config, attention_dropout)
        return AutoModel.from_pretrained(
            name,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            revision=revision or "main",
        )
    except Exception as error:  # whatever the layers of transformers raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"pretrained {source}: {reason}; give a folder with config.json and model.safetensors, or the hub's id of "
            "such a model where there is a network"
        ) from error


def config_text(model: Any) -> str:
    """The configuration of a model as JSON: of the net alone, without paths and without names of code to run."""
    return json.dumps(of_the_net(model.config.to_dict()), sort_keys=True)


def of_the_net(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without what makes transformers load anything, and without how the net is run."""
    return {
        key: value
        for key, value in config.items()
        if key not in NOT_THE_NET and "backbone" not in key and not key.endswith(("_implementation", "_internal"))
    }


def from_config_text(text: str, attention_dropout: float | None = None) -> nn.Module:
    """An encoder with untrained weights from :func:`config_text`; see :func:`set_attention_dropout`.

    The text may come with somebody's checkpoint: it only chooses among the nets of texts that are part of transformers.

    Raises:
        ValueError: The text is no configuration of such a net.
    """
    from transformers import CONFIG_MAPPING, AutoModel

    try:
        if len(text) > LONGEST_CONFIG:
            raise UserError(f"longer than {LONGEST_CONFIG} characters")
        config = json.loads(text)
        if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
            raise UserError("no JSON object with a model_type")
        kind = config.pop("model_type")
        if kind not in CONFIG_MAPPING:
            raise UserError(f"transformers has no model_type {kind!r}")
        made = CONFIG_MAPPING[kind](**of_the_net(config))
        if made.sub_configs or not isinstance(getattr(made, "vocab_size", None), int):
            raise UserError(f"model_type {kind} is no encoder of texts alone")
        set_attention_dropout(made, attention_dropout)
        return AutoModel.from_config(made, trust_remote_code=False).float()
    except Exception as error:  # whatever the layers of transformers raise, and where memory does not suffice
        reason = " ".join((f"unknown {error}" if isinstance(error, KeyError) else str(error)).split())[:300]
        raise UserError(f"encoder_config {text[:40]}: {reason}") from error


class PretrainedEncoder(nn.Module):
    """A pretrained encoder with pooling, and with soft prompts or low-rank changes where they are what is trained.

    Args:
        model: A model of transformers that takes input_ids or inputs_embeds and gives last_hidden_state.
        pooling: BERT's own "pooler" (a layer over the first token, pretrained with it), the "first" token's state, or
            as in Pooling, over all true tokens, [CLS] and [SEP] with them.
        tuning: What is trained: all ("full", or "gradual", where all that :meth:`below` names waits), nothing
            ("frozen"), vectors before the embeddings of each text ("prefix"; Lester et al. 2021), or "lora".
        prefix_length: P.
        prefix_deep: Trained vectors take the prompts' places before every layer, not before the first alone (Jia et al.
            2022; Li & Liang 2021 do it to keys and values).
        lora_rank: Rank of the changes.
        lora_alpha: Their scale.
        lora_targets: Which linear layers are changed: those of queries and values, or all inside the layers.
        attention_size: Width of the additive attention's scores.
        dropout: Share of what comes out dropped while training; the model has its own besides.

    Raises:
        ValueError: If an argument does not go with the model.
    """

    def __init__(
        self,
        model: Any,
        pooling: BertPool = "mean",
        tuning: Tuning = "full",
        *,
        prefix_length: int = 10,
        prefix_deep: bool = False,
        lora_rank: int = 8,
        lora_alpha: float = 16.0,
        lora_targets: LoRATargets = "queries_values",
        attention_size: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("pooling", pooling, BertPool)
        check_choice("tuning", tuning, Tuning)
        check_choice("lora_targets", lora_targets, LoRATargets)
        if not 0 <= dropout < 1:
            raise UserError(f"dropout must be at least 0 and below 1, not {dropout}")
        if model.config.is_encoder_decoder or not isinstance(getattr(model.config, "hidden_size", None), int):
            raise UserError(f"pretrained {type(model).__name__}: it is no encoder alone; choose one such as BERT")
        self.dropout = dropout
        self.model, self.tuning, self.width = model, tuning, int(model.config.hidden_size)
        self.pool_first = pooling == "first"
        if pooling == "pooler" and getattr(model, "pooler", None) is None:
            raise UserError(f"pooling 'pooler' is not in {type(model).__name__}; choose first or mean")
        if pooling != "pooler" and hasattr(model, "pooler"):
            model.pooler = None
        kind: Any = None if pooling in ("pooler", "first") else pooling
        self.pooling = Pooling(self.width, kind, attention_size=attention_size) if kind else None
        layers_of(model)  # refuses what has none
        if tuning in ("frozen", "prefix", "lora"):
            model.requires_grad_(False)
        self.prefix: Parameter | None = None
        if tuning == "prefix":
            self._make_prefix(prefix_length, prefix_deep)
        if tuning == "lora":
            wanted = QUERIES_VALUES.__contains__ if lora_targets == "queries_values" else lambda name: True
            if not adapt(self.layers, wanted, lora_rank, lora_alpha):
                raise UserError(f"lora_targets {lora_targets}: {type(model).__name__} has none by our names; take all")
        self.train()  # transformers gives models in evaluation mode, and Lightning leaves each as it is

    def _make_prefix(self, length: int, deep: bool) -> None:
        if length < 1:
            raise UserError(f"prefix_length must be at least 1, not {length}")
        words = self.model.get_input_embeddings().weight.detach()
        drawn = words[torch.randint(len(words), (length,))].clone()  # from words, which Lester et al. found to be best
        later = torch.randn(len(self.layers) - 1 if deep else 0, length, self.width) * words.std()
        self.prefix = Parameter(torch.cat((drawn[None], later)))  # (1 or L, P, D)
        for layer in range(1, len(self.prefix)):
            self.layers[layer].register_forward_pre_hook(self._prompt_hook(layer), with_kwargs=True)

    def _prompt_hook(self, layer: int) -> Any:
        """A hook that puts trained vectors in the prompts' places before a layer."""

        def put(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            assert self.prefix is not None
            hidden = args[0] if args else kwargs["hidden_states"]
            prompts = self.prefix[layer].to(hidden.dtype).expand(len(hidden), -1, -1)
            hidden = torch.cat((prompts, hidden[:, prompts.shape[1] :]), dim=1)
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": hidden})

        return put

    @property
    def layers(self) -> nn.ModuleList:
        """The model's layers; no attribute, or their weights would have two names."""
        return layers_of(self.model)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(B, D) of ids (B, T), padded on the right, and their mask (B, T) of booleans."""
        if self.tuning == "frozen":
            self.model.eval()  # no dropout: its states are the same each time; at the start Lightning would warn of it
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.tuning != "frozen"):
            hidden = self.states(input_ids, mask)
        if self.pooling is not None:
            vectors = self.pooling(hidden, mask)
        else:  # the first true token, where rows are padded on the right, is number 0
            vectors = hidden[:, 0] if self.pool_first else self.model.pooler(hidden)
        return F.dropout(vectors, self.dropout, self.training)

    def states(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """The last layer's states of the tokens, (B, T, D).

        Raises:
            ValueError: The texts are longer than the encoder's positions.
        """
        self.check_length(input_ids.shape[1])
        if self.prefix is None:
            return self.model(input_ids=input_ids, attention_mask=mask.long()).last_hidden_state
        words = self.model.get_input_embeddings()(input_ids)
        prompts = self.prefix.shape[1]
        words = torch.cat((self.prefix[0].to(words.dtype).expand(len(words), -1, -1), words), dim=1)  # (B, P + T, D)
        seen = F.pad(mask.long(), (prompts, 0), value=1)
        return self.model(inputs_embeds=words, attention_mask=seen).last_hidden_state[:, prompts:]

    def check_length(self, tokens: int) -> None:
        """Raises ValueError if a text of so many tokens, with the prompts, is longer than the encoder's positions."""
        prompts = 0 if self.prefix is None else self.prefix.shape[1]
        longest = getattr(self.model.config, "max_position_embeddings", None)
        if longest is not None and tokens + prompts > longest:
            raise UserError(
                f"max_seq_len: {tokens} tokens and {prompts} prompts are more than the encoder's {longest} positions; "
                "give the data a lower max_seq_len"
            )

    def looks(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Weights of the additive attention, (B, T), each row with the sum 1.

        Raises:
            ValueError: The pooling is another.
        """
        if self.pooling is None or self.pooling.attention is None:
            raise UserError("pooling weighs nothing; train with pooling attention")
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
        ValueError: It has none by which to tell them.
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and count:
            return module
    raise UserError(f"pretrained {type(model).__name__}: it has no list of layers; choose an encoder such as BERT")
