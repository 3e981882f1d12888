"""Weights of transformers' GPT-2 for our GPT."""

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
        known = next((theirs for theirs in NAMES if rest == theirs or rest.startswith(f"{theirs}.")), None)
        if known is None:
            raise UserError(f"weights has {name!r}, which is not a weight of GPT-2")
        ours = NAMES[known] + rest.removeprefix(known)
        is_conv1d = weight.dim() == 2 and ".c_" in name
        found[f"blocks.{layer}.{ours}" if layer else ours] = weight.T if is_conv1d else weight
    found.setdefault("head.weight", found["token_embedding.weight"])
    return found
