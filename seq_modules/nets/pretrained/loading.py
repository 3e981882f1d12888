"""Encoders of the transformers library: from a folder or the hub, or untrained from a configuration.

Weights are read from safetensors alone, which hold numbers and nothing else, and no code that comes with a model is
run. The configuration is plain text, from which the same net is made without its folder.
"""

import json
from typing import Any

import torch
from torch import nn

from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.paths import expanded

# Names of the attention's dropout in configurations: of BERT and most others; of DistilBERT and ModernBERT.
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
LONGEST_CONFIG = 100_000  # characters
# Entries of a configuration that tell where a net comes from and how it is run. They do not describe the net, but some
# make transformers load code or weights (kernels and backbones from the hub, quantisers).
NOT_THE_NET = {
    "_name_or_path", "name_or_path", "architectures", "auto_map", "custom_pipelines", "dtype", "torch_dtype",
    "quantization_config", "return_dict", "transformers_version", "trust_remote_code", "use_kernels", "code_revision",
}  # fmt: skip


def set_attention_dropout(config: Any, dropout: float | None) -> None:
    """Sets the dropout of the attention's weights in a configuration of transformers; None leaves it as it is.

    Raises:
        UserError: The configuration has no such entry.
    """
    if dropout is None:
        return
    names = [name for name in ATTENTION_DROPOUT if hasattr(config, name)]
    if not names:
        raise UserError(f"net.attention_dropout: a {config.model_type} encoder has no attention dropout; leave it out")
    for name in names:
        setattr(config, name, dropout)


def load_pretrained(source: str, attention_dropout: float | None = None, revision: str | None = None) -> nn.Module:
    """The encoder in a folder or on the hub, in float32.

    Args:
        source: Folder or hub id.
        attention_dropout: See :func:`set_attention_dropout`.
        revision: Branch, tag or commit of the hub's model.

    Raises:
        UserError: There is none, it has no safetensors, or transformers does not know it.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()  # else a table of the weights that are left out, which heads of other tasks are
    logging.disable_progress_bar()
    folder = expanded(source)
    if not folder.is_dir() and (folder.is_absolute() or source.startswith(("./", "../", "~"))):
        raise UserError(f"net.pretrained {source}: no such folder; give one that has config.json and model.safetensors")
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
        raise UserError(
            f"net.pretrained {source}: {reason_of(error)}; give a folder with config.json and model.safetensors, or "
            "the hub's id of such a model where there is a network"
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
        UserError: The text is no configuration of such a net.
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
        unknown = "unknown " if isinstance(error, KeyError) else ""
        raise UserError(f"net.encoder_config {text[:40]}: {unknown}{reason_of(error)}") from error
