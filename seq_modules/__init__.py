"""Systems (LightningModules) and what they are made of. Their import paths stand in checkpoints: they stay."""

import seq_modules.callbacks  # noqa: F401  the command line names callbacks by their class alone
from seq_modules.base import SequenceModule
from seq_modules.systems.forecaster import Forecaster
from seq_modules.systems.formal_language import FormalLanguageModule
from seq_modules.systems.frame_decoder import FrameDecoder, LSTMFrameDecoder, TransformerFrameDecoder
from seq_modules.systems.language_model import GPTLanguageModel, LanguageModel
from seq_modules.systems.mlp import MLPClassifier
from seq_modules.systems.music_decoder import MusicDecoder, RNNMusicDecoder, TransformerMusicDecoder
from seq_modules.systems.parity import ParityModule
from seq_modules.systems.pretrained_classifier import PretrainedClassifier
from seq_modules.systems.rnn_language_model import RNNLanguageModel
from seq_modules.systems.seq2seq import Seq2SeqModule, Seq2SeqRNN, Seq2SeqTransformer
from seq_modules.systems.text_classifier import NgramClassifier, TextClassifier
from seq_modules.systems.token_tagger import PretrainedTagger, TokenTagger

__all__ = [
    "Forecaster",
    "FormalLanguageModule",
    "FrameDecoder",
    "GPTLanguageModel",
    "LSTMFrameDecoder",
    "LanguageModel",
    "MLPClassifier",
    "MusicDecoder",
    "NgramClassifier",
    "ParityModule",
    "PretrainedClassifier",
    "PretrainedTagger",
    "RNNLanguageModel",
    "RNNMusicDecoder",
    "Seq2SeqModule",
    "Seq2SeqRNN",
    "Seq2SeqTransformer",
    "SequenceModule",
    "TextClassifier",
    "TokenTagger",
    "TransformerFrameDecoder",
    "TransformerMusicDecoder",
]
