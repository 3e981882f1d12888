"""The adaptive loss of a test: the whole test text is read once, and learned from as it is read."""

import math
import time

import numpy as np
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities import rank_zero_info

from seq_modules.adaptation.adaptation_config import Adaptation
from seq_modules.adaptation.adaptive_model import AdaptiveModel
from seq_modules.protocols.data import HasTexts
from seq_modules.protocols.nets import net_of
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.errors import UserError


def log_adaptive_loss(module: LightningModule, adaptation: Adaptation) -> None:
    """Logs ``test/loss_adaptive``, in nats per token, and ``test/bits_per_character_adaptive``.

    The counts know the training text, and every token of the test text but the first is scored before anything learns
    from it. Every process reads the whole text.

    Args:
        module: A language model that is being tested, with its Trainer.
        adaptation: What learns, and how quickly.

    Raises:
        UserError: The data have no texts, or the test text has fewer than two tokens.
    """
    data, net, tokenizer = getattr(module.trainer, "datamodule", None), net_of(module), required_tokenizer(module)
    if not isinstance(data, HasTexts) or net is None:
        raise UserError(f"--adapt needs the texts of a corpus, which {type(data).__name__} does not have; leave it out")
    start, started = time.monotonic(), time.process_time()
    training, test = (tokenizer.encode_array(text).astype(np.int64) for text in (data.train_text(), data.test_text()))
    if len(test) < 2:
        raise UserError(f"--adapt needs a test text of two tokens or more, not of {len(test)}")
    model = AdaptiveModel(net, tokenizer.pieces(range(tokenizer.vocab_size)), adaptation, training)
    with model.reading():
        nats = -float(model.read(test).sum(dtype=np.float64))
    characters = int(tokenizer.characters[test[1:]].sum())
    module.log("test/loss_adaptive", nats / (len(test) - 1), rank_zero_only=True)
    module.log("test/bits_per_character_adaptive", nats / characters / math.log(2), rank_zero_only=True)
    seconds, used = time.monotonic() - start, time.process_time() - started
    rank_zero_info(f"{len(test):,} tokens read adaptively in {seconds:.0f} s ({used:.0f} s of processor time)")
