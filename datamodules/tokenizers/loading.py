"""Tokenizers from their state, and from the files that hold one."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from datamodules.tokenizers.base import Tokenizer
from datamodules.tokenizers.byte import ByteTokenizer
from datamodules.tokenizers.char import CharTokenizer
from datamodules.tokenizers.sentencepiece import SentencePieceTokenizer


def from_state(state: dict[str, Any]) -> Tokenizer:
    """The tokenizer whose :meth:`Tokenizer.state` this is.

    Raises:
        ValueError: It is the state of none.
    """
    match state:
        case {"kind": "char", "alphabet": str(alphabet)}:
            return CharTokenizer(alphabet)
        case {"kind": "byte"}:
            return ByteTokenizer()
        case {"kind": "sentencepiece", "model": bytes(model)}:
            return SentencePieceTokenizer(model)
    kind = state.get("kind") if isinstance(state, dict) else state
    raise ValueError(f"tokenizer of the kind {kind!r} is not known; known are char, byte and sentencepiece")


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Writes a file that :func:`load` reads."""
    torch.save({"tokenizer": tokenizer.state()}, path)


def load(path: str | Path) -> Tokenizer:
    """The tokenizer in a SentencePiece ``.model`` file or in a checkpoint, of which nothing is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no tokenizer.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"tokenizer_path {path}: no such file; give a SentencePiece .model or a checkpoint")
    try:
        if not zipfile.is_zipfile(path):
            return SentencePieceTokenizer(path.read_bytes())
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = content.get("tokenizer") if isinstance(content, dict) else None
        if state is None:
            raise ValueError("it holds no tokenizer; give a language model's checkpoint")
        return from_state(state)
    except (ValueError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"tokenizer_path {path}: {reason[:300]}") from error
