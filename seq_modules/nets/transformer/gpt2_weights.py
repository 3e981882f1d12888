"""Weights of transformers' GPT-2 for :class:`seq_modules.nets.transformer.gpt.GPT`."""

from collections.abc import Mapping

from torch import Tensor

from seqlight.core.errors import UserError

NAMES = {
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


def from_gpt2(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict for GPT with its default options, from that of transformers' GPT2LMHeadModel or GPT2Model.

        net = GPT(50257, 768, 12, 12, 1024)
        net.load_state_dict(from_gpt2(GPT2LMHeadModel.from_pretrained("gpt2").state_dict()))

    Args:
        weights: theirs; the products' weights, (inputs, outputs) there, are transposed.

    Raises:
        ValueError: If a name is not one of GPT-2's.
    """
    found: dict[str, Tensor] = {}
    for name, weight in weights.items():
        short = name.removeprefix("transformer.")
        layer, _, rest = short.removeprefix("h.").partition(".") if short.startswith("h.") else ("", "", short)
        if rest in ("attn.bias", "attn.masked_bias"):  # masks that older versions stored
            continue
        known = next((theirs for theirs in NAMES if rest == theirs or rest.startswith(f"{theirs}.")), None)
        if known is None:
            raise UserError(f"weights has {name!r}, which is no part of GPT-2")
        ours = NAMES[known] + rest.removeprefix(known)
        is_product = weight.dim() == 2 and ".c_" in name
        found[f"blocks.{layer}.{ours}" if layer else ours] = weight.T if is_product else weight
    found.setdefault("head.weight", found["token_embedding.weight"])
    return found
