"""The encoder of a classifier or tagger as a folder that the library transformers loads, and `net.pretrained` too.

The system's own layers, such as pooling and head, are not in it. Another training can start from such a folder, so that
an encoder learns one task after another (Phang et al. 2018, "Sentence Encoders on STILTs").
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seq_modules import SequenceModule
from seq_modules.nets.pretrained.encoder import PretrainedEncoder
from seq_modules.nets.pretrained.lora import merge
from seqlight.core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOLERANCE = 1e-4  # of states, absolute and relative; both nets compute in float32
PROBE = "It was the 1st of May:\n\t\u201cNa\u00efve\u201d \N{SNOWMAN} \u6f22\u5b57 unbelievably a\u0301\r\n"


def encoder_of(module: SequenceModule) -> PretrainedEncoder | None:
    """The pretrained encoder that a system has, if it has one."""
    return next((part for part in module.modules() if isinstance(part, PretrainedEncoder)), None)


def write(encoder: PretrainedEncoder, tokenizer: Any, folder: Path) -> "PreTrainedTokenizerFast | None":
    """Writes the encoder. Low-rank changes are added to the weights that they change.

    Args:
        encoder: A system's, in evaluation mode.
        tokenizer: The system's, if it has one.
        folder: An empty folder.

    Returns:
        Transformers' tokenizer, which is written too; None if transformers has none that gives the same ids.

    Raises:
        UserError: The encoder alone would compute something else: it reads soft prompts.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # of a second
    if encoder.tuning == "prefix":
        raise UserError(
            "model.net.tuning prefix: an encoder of transformers, which --format transformers writes, has no soft "
            "prompts; use --format safetensors"
        )
    model = encoder.model
    before = states(model)
    merge(model)
    torch.testing.assert_close(states(model), before, atol=TOLERANCE, rtol=TOLERANCE)
    model.save_pretrained(folder)
    theirs = tokenizer_of(getattr(tokenizer, "wordpiece", tokenizer), model.config)
    if theirs is not None:
        theirs.save_pretrained(folder)
    return theirs


@torch.no_grad()
def states(model: Any) -> Tensor:
    """Last states of some tokens (2, 8, D)."""
    return model(input_ids=torch.arange(16).view(2, 8) % model.config.vocab_size).last_hidden_state


def tokenizer_of(tokenizer: Any, config: Any) -> "PreTrainedTokenizerFast | None":
    """BERT's tokenizer with the same ids; None if there is none.

    Args:
        tokenizer: The system's, for a tagger the one of its subwords.
        config: The encoder's configuration.
    """
    from transformers import BertTokenizer

    if getattr(tokenizer, "kind", None) != "wordpiece":
        return None
    state = tokenizer.state()
    found = BertTokenizer(
        {piece: number for number, piece in enumerate(state["vocabulary"].split("\n"))},
        do_lower_case=state["lower_case"],
        strip_accents=state["strip_accents"],
        model_max_length=config.max_position_embeddings,
    )
    same = found(PROBE, add_special_tokens=False, verbose=False)["input_ids"] == tokenizer.encode(PROBE)
    return found if same else None
