"""Text, or notes, to ids and back, behind one protocol; the state of each travels in the checkpoint."""

from datamodules.tokenizers.base import Tokenizer
from datamodules.tokenizers.byte import ByteTokenizer
from datamodules.tokenizers.char import CharTokenizer
from datamodules.tokenizers.loading import MusicTokenizer, from_state, load, load_notes, load_pair, load_tagging, save
from datamodules.tokenizers.music.frame import FrameTokenizer
from datamodules.tokenizers.music.midi import NoteTokenizer
from datamodules.tokenizers.music.remi import RemiTokenizer
from datamodules.tokenizers.normalized import NormalizedTokenizer, normalized
from datamodules.tokenizers.pair import SideTokenizer, TokenizerPair
from datamodules.tokenizers.sentencepiece import SentencePieceTokenizer
from datamodules.tokenizers.stateful import Stateful
from datamodules.tokenizers.tagging import TaggingTokenizer
from datamodules.tokenizers.word_index import WordIndexTokenizer
from datamodules.tokenizers.word_lines import WordLineTokenizer
from datamodules.tokenizers.wordpiece import WordPieceTokenizer
from datamodules.tokenizers.words import WordTokenizer

__all__ = [
    "ByteTokenizer",
    "CharTokenizer",
    "FrameTokenizer",
    "MusicTokenizer",
    "NormalizedTokenizer",
    "NoteTokenizer",
    "RemiTokenizer",
    "SentencePieceTokenizer",
    "SideTokenizer",
    "Stateful",
    "TaggingTokenizer",
    "Tokenizer",
    "TokenizerPair",
    "WordIndexTokenizer",
    "WordLineTokenizer",
    "WordPieceTokenizer",
    "WordTokenizer",
    "from_state",
    "load",
    "load_notes",
    "load_pair",
    "load_tagging",
    "normalized",
    "save",
]
