"""Generation: continuing a prompt with any net that predicts the next token. Ids in, ids out; no text and no music."""

from seq_modules.generation.decode import generate
from seq_modules.generation.decoding_config import Decoding

__all__ = ["Decoding", "generate"]
