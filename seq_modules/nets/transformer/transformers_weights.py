"""Weights of nets of the library transformers for ours, GPT-2 and Marian for the encoder-decoder; and back to GPT-2."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from seqlight.core.errors import UserError

GPT2_NAMES = {
    "wte.weight": "token_embedding.weight",
    "wpe.weight": "position_table",
    "ln_f": "norm",
    "ln_1": "attention_norm",
    "ln_2": "feed_forward_norm",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "feed_forward.up",
    "mlp.c_proj": "feed_forward.down",
    "lm_head": "head",
}
MARIAN_NAMES = {
    "self_attn.out_proj": "attention.out",
    "self_attn_layer_norm": "attention_norm",
    "encoder_attn.q_proj": "cross.q",
    "encoder_attn.out_proj": "cross.out",
    "encoder_attn_layer_norm": "cross_norm",
    "fc1": "feed_forward.up",
    "fc2": "feed_forward.down",
    "final_layer_norm": "feed_forward_norm",
}
MARIAN_JOINED = {  # several matrices of theirs are one of ours; found by the keys'
    "self_attn.k_proj": ("attention.qkv", ("q_proj", "k_proj", "v_proj")),
    "encoder_attn.k_proj": ("cross.kv", ("k_proj", "v_proj")),
}
MARIAN_LAYER = re.compile(
    r"model\.(encoder|decoder)\.layers\.(\d+)\."
    r"((?:self|encoder)_attn\.\w+_proj|(?:self_attn|encoder_attn|final)_layer_norm|fc[12])\.(weight|bias)"
)
MARIAN_TABLES = {
    "source_embedding.weight": "model.encoder.embed_tokens.weight",
    "source_positions": "model.encoder.embed_positions.weight",
    "target_embedding.weight": "model.decoder.embed_tokens.weight",
    "target_positions": "model.decoder.embed_positions.weight",
    "head.weight": "lm_head.weight",
}


def from_gpt2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for GPT with its default options, from that of transformers' GPT2LMHeadModel or GPT2Model.

        net = GPT(50257, GPTConfig(d_model=768, num_layers=12, num_heads=12, max_seq_len=1024))
        net.load_state_dict(from_gpt2(GPT2LMHeadModel.from_pretrained("gpt2").state_dict()))

    Args:
        weights: GPT-2's. Weights of its Conv1D layers, (inputs, outputs), are transposed.

    Raises:
        UserError: A name is not one of GPT-2's.
    """
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        short = name.removeprefix("transformer.")
        layer, _, rest = short.removeprefix("h.").partition(".") if short.startswith("h.") else ("", "", short)
        if rest in ("attn.bias", "attn.masked_bias"):  # masks that older versions stored
            continue
        known = next((theirs for theirs in GPT2_NAMES if rest == theirs or rest.startswith(f"{theirs}.")), None)
        if known is None:
            raise UserError(f"weights has {name!r}, which is not a weight of GPT-2")
        ours = GPT2_NAMES[known] + rest.removeprefix(known)
        is_conv1d = weight.dim() == 2 and ".c_" in name
        found[f"blocks.{layer}.{ours}" if layer else ours] = weight.T if is_conv1d else weight
    found.setdefault("head.weight", found["token_embedding.weight"])
    return found


def to_gpt2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for transformers' GPT2LMHeadModel, from that of GPT with its default options.

    Args:
        weights: The GPT's. Weights of its linear layers but the head, (outputs, inputs), are transposed.
    """
    found = {}
    for name, weight in weights.items():
        layer, _, rest = name.removeprefix("blocks.").partition(".") if name.startswith("blocks.") else ("", "", name)
        ours, theirs = next((ours, theirs) for theirs, ours in GPT2_NAMES.items() if f"{rest}.".startswith(f"{ours}."))
        short = theirs + rest.removeprefix(ours)
        full = short if ours == "head" else f"transformer.{f'h.{layer}.' if layer else ''}{short}"
        found[full] = weight.T if weight.dim() == 2 and ".c_" in full else weight
    return found


def from_marian(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for EncoderDecoderTransformer, from that of transformers' MarianMTModel.

    The net's config is positions="learned" (it takes the table of Marian's sinusoids), norm_first=False,
    share_embeddings="all" or what the model shares, and the activation of the model.

    Args:
        weights: Marian's, of a model that multiplies its embeddings by √D (``scale_embedding``).

    Raises:
        UserError: A name is not one of Marian's, or the logits have a bias, which our net has not.
    """
    if weights["final_logits_bias"].any():
        raise UserError("weights has a final_logits_bias other than 0, which the net has no place for")
    found = {ours: weights[theirs] for ours, theirs in MARIAN_TABLES.items()}
    for name, weight in weights.items():
        match = MARIAN_LAYER.fullmatch(name)
        if match is None:
            if name not in (*MARIAN_TABLES.values(), "model.shared.weight", "final_logits_bias"):
                raise UserError(f"weights has {name!r}, which is not a weight of Marian")
            continue
        stack, layer, module, kind = match.groups()
        if module in MARIAN_JOINED:
            ours, parts = MARIAN_JOINED[module]
            weight = torch.cat([weights[name.replace("k_proj", part)] for part in parts])
        elif module in MARIAN_NAMES:
            ours = MARIAN_NAMES[module]
        else:
            continue  # part of a joined one
        found[f"{stack}.{layer}.{ours}.{kind}"] = weight
    return found
