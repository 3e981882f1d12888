"""Text to ids and back, behind one protocol; the state of each travels in the checkpoint."""

from datamodules.tokenizers.base import Tokenizer
from datamodules.tokenizers.byte import ByteTokenizer
from datamodules.tokenizers.char import CharTokenizer
from datamodules.tokenizers.loading import from_state, load, save
from datamodules.tokenizers.sentencepiece import SentencePieceTokenizer

__all__ = ["ByteTokenizer", "CharTokenizer", "SentencePieceTokenizer", "Tokenizer", "from_state", "load", "save"]
