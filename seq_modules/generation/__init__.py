"""Going on from a prompt: ids in, ids out. Knows no text and no music."""

from seq_modules.generation.decode import generate
from seq_modules.generation.sampling import Decoding

__all__ = ["Decoding", "generate"]
