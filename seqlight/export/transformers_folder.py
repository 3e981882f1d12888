"""A GPT in GPT-2's form, as a folder that the library transformers loads: the model, and its tokenizer if it can."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seq_modules import GPTLanguageModel, SequenceModule
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig
from seq_modules.nets.transformer.transformers_weights import to_gpt2
from seqlight.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ACTIVATIONS = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "relu2": "relu2"}  # theirs by our names
POSITIONS = ("learned", "sinusoidal", "none")  # of which each can be a table of vectors
TOLERANCE = 1e-4  # of logits, absolute and relative; both nets compute in float32
PROBE = "It was the 1st of May:\n\t\u201cNaïve\u201d \N{SNOWMAN}  \N{GRINNING FACE}\ufffd a\u0301\r\n"


def write(module: SequenceModule, folder: Path) -> "PreTrainedTokenizerFast | None":
    """Writes a GPT2LMHeadModel with equal logits.

    Args:
        module: The system, in evaluation mode, with its tokenizer.
        folder: An empty folder.

    Returns:
        Its tokenizer, which is written too; None if transformers has none that gives the same ids.

    Raises:
        UserError: The system is no GPT, or GPT-2's form does not have one of its options.
    """
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # of a second
    net = gpt_of(module)
    model = GPT2LMHeadModel(GPT2Config(**settings_of(net))).eval()
    model.load_state_dict(weights_of(net))
    compare(net, model)
    model.to(net.head.weight.dtype).save_pretrained(folder)
    tokenizer = tokenizer_of(module.tokenizer, net.max_seq_len)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return tokenizer


def gpt_of(module: SequenceModule) -> GPT:
    """The net of a GPT whose options GPT-2's form has.

    Raises:
        UserError: The message names the option and its value.
    """
    if not isinstance(module, GPTLanguageModel):
        raise UserError(
            f"--format transformers has GPT-2's form and pretrained encoders alone, and this is a "
            f"{type(module).__name__}; use --format safetensors"
        )
    net = module.net
    if not isinstance(net, GPT):
        raise refusal("model.ensemble_size", module.hparams["ensemble_size"], "1")
    config = net.config
    if config.positions not in POSITIONS:
        raise refusal("model.net.positions", config.positions, " or ".join(POSITIONS))
    if config.norm != "layer":
        raise refusal("model.net.norm", config.norm, "layer")
    if config.activation not in ACTIVATIONS:
        raise refusal("model.net.activation", config.activation, " or ".join(ACTIVATIONS))
    if config.ngrams.orders:
        raise refusal("model.net.ngrams.orders", config.ngrams.orders, "null")
    for field in fields(ExtrasConfig):
        value = getattr(config.extras, field.name)
        if field.name != "zero_init" and value != field.default:  # which weights it starts from does not matter
            raise refusal(f"model.net.extras.{field.name}", value, str(field.default))
    return net


def refusal(option: str, value: Any, possible: str) -> UserError:
    """That GPT-2's form does not have an option's value."""
    return UserError(
        f"{option} {value}: GPT-2's form, which --format transformers writes, has only {possible}; use --format "
        "safetensors"
    )


def settings_of(net: GPT) -> dict[str, Any]:
    """Arguments of transformers' GPT2Config."""
    config: GPTConfig = net.config
    return {
        "vocab_size": net.token_embedding.num_embeddings,
        "n_positions": config.max_seq_len,
        "n_embd": config.d_model,
        "n_layer": config.num_layers,
        "n_head": config.num_heads,
        "n_inner": config.d_ff or 4 * config.d_model,
        "activation_function": ACTIVATIONS[config.activation],
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "layer_norm_epsilon": net.norm.eps,
        "tie_word_embeddings": net.tie_weights and net.token_scale == 1,
        "bos_token_id": None,  # a text has no beginning and no end
        "eos_token_id": None,
    }


def weights_of(net: GPT) -> dict[str, Tensor]:
    """State dict of transformers' GPT2LMHeadModel, in float32.

    Its embedding has the factor of sinusoidal positions in it. Linear layers and norms without a bias get one of zeros.
    """
    held = {name: value.detach().float() for name, value in net.state_dict().items()}
    table = net.position_table
    held["token_embedding.weight"] = held["token_embedding.weight"] * net.token_scale
    held["position_table"] = (
        torch.zeros(net.max_seq_len, net.config.d_model) if table is None else table.detach().float()
    )
    for name, value in list(held.items()):
        if name.startswith(("blocks.", "norm.")) and name.endswith(".weight"):
            held.setdefault(f"{name.removesuffix('weight')}bias", value.new_zeros(len(value)))
    return to_gpt2(held)


@torch.no_grad()
def compare(net: GPT, model: Any) -> None:
    """Compares the logits of both on random tokens.

    Raises:
        AssertionError: They differ.
    """
    if net.head.weight.dtype != torch.float32:
        return
    ids = torch.randint(
        net.token_embedding.num_embeddings, (2, net.max_seq_len), generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(model(ids).logits, net(ids), atol=TOLERANCE, rtol=TOLERANCE)


def tokenizer_of(tokenizer: Any, longest: int) -> "PreTrainedTokenizerFast | None":
    """The tokenizer of transformers that gives the same ids; None if there is none.

    Characters and bytes are pieces of a byte-pair encoding that merges nothing.

    Args:
        tokenizer: The system's.
        longest: Longest context, in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    kind = getattr(tokenizer, "kind", None)
    if kind == "byte":
        letters = bytes_to_unicode()
        made = Tokenizer(models.BPE({letter: byte for byte, letter in letters.items()}, []))
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.decoder = decoders.ByteLevel()
    elif kind == "char":
        unknown = "<unk>" if "\ufffd" in tokenizer.alphabet else "\ufffd"
        vocabulary = {unknown: 0} | {character: place for place, character in enumerate(tokenizer.alphabet, start=1)}
        made = Tokenizer(models.BPE(vocabulary, [], unk_token=unknown, fuse_unk=False))
        made.decoder = decoders.Fuse()
    else:
        return None
    found = PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=longest, clean_up_tokenization_spaces=False)
    probe = PROBE + "".join(tokenizer.pieces(range(tokenizer.vocab_size)))
    return found if found(probe, verbose=False)["input_ids"] == tokenizer.encode(probe) else None
