"""Systems (LightningModules) and what they are made of. Their import paths stand in checkpoints: they stay."""

import seq_modules.callbacks  # noqa: F401  the command line names callbacks by their class alone
from seq_modules.base import SequenceModule
from seq_modules.gpt_language_model import GPTLanguageModel
from seq_modules.language_model import LanguageModel
from seq_modules.parity import ParityModule
from seq_modules.rnn_language_model import RNNLanguageModel

__all__ = ["GPTLanguageModel", "LanguageModel", "ParityModule", "RNNLanguageModel", "SequenceModule"]
