"""Tokenizers from their state, and from the files that hold one."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from datamodules.tokenizers.base import Tokenizer
from datamodules.tokenizers.byte import ByteTokenizer
from datamodules.tokenizers.char import CharTokenizer
from datamodules.tokenizers.frame import FrameTokenizer
from datamodules.tokenizers.midi import NoteTokenizer
from datamodules.tokenizers.pair import TokenizerPair
from datamodules.tokenizers.remi import RemiTokenizer
from datamodules.tokenizers.sentencepiece import SentencePieceTokenizer
from datamodules.tokenizers.stateful import Stateful
from datamodules.tokenizers.wordpiece import WordPieceTokenizer
from datamodules.tokenizers.words import WordTokenizer
from seqlight.core.errors import UserError

MusicTokenizer = NoteTokenizer | RemiTokenizer


def from_state(state: dict[str, Any]) -> Stateful:
    """The tokenizer whose :meth:`Stateful.state` this is.

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
        case {
            "kind": "wordpiece",
            "vocabulary": str(vocabulary),
            "lower_case": bool(lower),
            "strip_accents": bool(strip),
        }:
            return WordPieceTokenizer(vocabulary, lower, strip)
        case {"kind": "words", "words": str(words)}:
            return WordTokenizer(words, lower_case=state.get("lower_case") is not False)
        case {
            "kind": "notes",
            "fields": list(fields),
            "lowest": int(lowest),
            "highest": int(highest),
            "durations": list(durations),
            "shifts": list(shifts),
        } if isinstance(metres := state.get("metres"), list | None):
            return NoteTokenizer(fields, lowest, highest, durations, shifts, metres)
        case {
            "kind": "remi",
            "lowest": int(lowest),
            "highest": int(highest),
            "one_voice": bool(one_voice),
            "vocabulary": list(vocabulary),
        }:
            return RemiTokenizer(lowest, highest, one_voice, vocabulary)
        case {"kind": "frames", "lowest": low, "highest": high, "frame_size": size, "order": order}:
            return FrameTokenizer(low, high, size, order)
        case {"kind": "pair", "source": dict(source), "target": dict() | None as target}:
            sides = [from_state(side) for side in (source, target) if side is not None]
            texts = [side for side in sides if isinstance(side, Tokenizer)]
            if len(texts) == len(sides):  # not notes, not another pair
                return TokenizerPair(*texts)
    kind = state.get("kind") if isinstance(state, dict) else state
    raise UserError(
        f"tokenizer of the kind {kind!r} is not known; known are char, byte, sentencepiece, wordpiece, words, "
        "notes, remi, frames and pair"
    )


def save(tokenizer: Stateful, path: Path) -> None:
    """Writes a file that :func:`load` reads."""
    torch.save({"tokenizer": tokenizer.state()}, path)


def load(path: str | Path) -> Tokenizer:
    """The tokenizer of text in a SentencePiece ``.model`` file or in a checkpoint, of which nothing is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no tokenizer, or one of notes.
    """
    found = _load(path, "a SentencePiece .model or a language model's checkpoint")
    if not isinstance(found, Tokenizer):
        what = "a pair of tokenizers" if isinstance(found, TokenizerPair) else "a tokenizer of notes"
        raise UserError(f"tokenizer_path {path}: it holds {what}; give a language model's checkpoint")
    return found


def load_pair(path: str | Path) -> TokenizerPair:
    """The tokenizers of source and target in a checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no tokenizer, or a single one.
    """
    found = _load(path, "a translation model's checkpoint")
    if not isinstance(found, TokenizerPair):
        raise UserError(f"tokenizer_path {path}: it holds no pair of tokenizers; give a translation model's checkpoint")
    return found


def load_notes(path: str | Path) -> MusicTokenizer:
    """The tokenizer of notes in a checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no tokenizer, or one of text.
    """
    found = _load(path, "a music model's checkpoint")
    if not isinstance(found, NoteTokenizer | RemiTokenizer):
        raise UserError(f"tokenizer_path {path}: it holds a tokenizer of text; give a music model's checkpoint")
    return found


def _load(path: str | Path, wanted: str) -> Stateful:
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"tokenizer_path {path}: no such file; give {wanted}")
    try:
        if not zipfile.is_zipfile(path):
            return SentencePieceTokenizer(path.read_bytes())
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        state = content.get("tokenizer") if isinstance(content, dict) else None
        if state is None:
            raise UserError("it holds no tokenizer; give a checkpoint of a model of text")
        return from_state(state)
    except (ValueError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"tokenizer_path {path}: {reason[:300]}") from error
