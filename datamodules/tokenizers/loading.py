"""Makes tokenizers from their saved state, and reads them from files."""

import pickle
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import torch

from datamodules.tokenizers.base import Tokenizer
from datamodules.tokenizers.byte import ByteTokenizer
from datamodules.tokenizers.char import CharTokenizer
from datamodules.tokenizers.music.frame import FrameTokenizer
from datamodules.tokenizers.music.midi import NoteTokenizer
from datamodules.tokenizers.music.remi import RemiTokenizer
from datamodules.tokenizers.normalized import NormalizedTokenizer
from datamodules.tokenizers.pair import TokenizerPair
from datamodules.tokenizers.sentencepiece import SentencePieceTokenizer
from datamodules.tokenizers.stateful import Stateful
from datamodules.tokenizers.tagging import TaggingTokenizer
from datamodules.tokenizers.word_index import WordIndexTokenizer
from datamodules.tokenizers.word_lines import WordLineTokenizer
from datamodules.tokenizers.wordpiece import WordPieceTokenizer
from datamodules.tokenizers.words import WordTokenizer
from seqlight.core.checkpoint_file.reading import read_plain
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.paths import expanded

MusicTokenizer = NoteTokenizer | RemiTokenizer
MUSIC_TOKENIZERS: tuple[type[MusicTokenizer], ...] = (NoteTokenizer, RemiTokenizer)
T = TypeVar("T", bound=Stateful)


def from_state(state: dict[str, Any]) -> Stateful:
    """The tokenizer with a given :meth:`Stateful.state`.

    Raises:
        UserError: It is not the state of a tokenizer.
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
        case {"kind": "word_index", "words": str(words)}:
            return WordIndexTokenizer(words)
        case {"kind": "word_lines", "words": str(words)}:
            return WordLineTokenizer(words, lower_case=state.get("lower_case") is not False)
        case {
            "kind": "normalized",
            "lower_case": bool(lower),
            "strip_punctuation": bool(strip),
            "tokenizer": {"kind": str(inner)} as held,
        } if inner != NormalizedTokenizer.kind and isinstance(text := from_state(held), Tokenizer):
            return NormalizedTokenizer(text, lower, strip)
        case {
            "kind": "notes",
            "fields": list(fields),
            "lowest": int(lowest),
            "highest": int(highest),
            "durations": list(durations),
            "shifts": list(shifts),
        } if isinstance(metres := state.get("metres"), list | None) and isinstance(
            velocities := state.get("velocities", []), list
        ):
            return NoteTokenizer(fields, lowest, highest, durations, shifts, metres, velocities)
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
        case {
            "kind": "tagging",
            "alphabet": str(alphabet),
            "words": str() | None as words,
            "pieces": dict() | None as pieces,
            "lower_case": bool(lower),
            "max_characters": int(most),
        }:
            subwords = None if pieces is None else from_state(pieces)
            if subwords is None or isinstance(subwords, WordPieceTokenizer):
                listed = None if words is None else words.split("\n") if words else []
                return TaggingTokenizer(alphabet, listed, subwords, lower, most)
    kind = state.get("kind") if isinstance(state, dict) else state
    raise UserError(
        f"tokenizer of the kind {kind!r} is not known; known are char, byte, sentencepiece, wordpiece, words, "
        "word_lines, word_index, normalized, notes, remi, frames, pair and tagging"
    )


def save(tokenizer: Stateful, path: Path) -> None:
    """Writes a file that :func:`load` reads."""
    torch.save({"tokenizer": tokenizer.state()}, path)


def load(path: str | Path) -> Tokenizer:
    """The text tokenizer in a SentencePiece ``.model`` file or in a checkpoint. No code in the file is executed.

    Raises:
        FileNotFoundError: The file does not exist.
        UserError: The file holds no tokenizer, or one of another kind.
    """
    return _load(path, (Tokenizer,), "a SentencePiece .model or a checkpoint of a language model")


def load_pair(path: str | Path) -> TokenizerPair:
    """The tokenizers of source and target in a checkpoint. It raises the same errors as :func:`load`."""
    return _load(path, (TokenizerPair,), "a checkpoint of a translation model")


def load_notes(path: str | Path) -> MusicTokenizer:
    """The tokenizer of notes in a checkpoint. It raises the same errors as :func:`load`."""
    return _load(path, MUSIC_TOKENIZERS, "a checkpoint of a music model")


def load_tagging(path: str | Path) -> TaggingTokenizer:
    """The tokenizer of tagged sentences in a checkpoint. It raises the same errors as :func:`load`."""
    return _load(path, (TaggingTokenizer,), "a checkpoint of a tagger")


def _load(path: str | Path, kinds: tuple[type[T], ...], wanted: str) -> T:
    """The tokenizer in a file, which must be of one of the kinds; ``wanted`` describes a file that has one."""
    found = _read(path, wanted)
    if not isinstance(found, kinds):
        raise UserError(f"tokenizer_path {path}: it holds {_description(found)}; give {wanted}")
    return found


def _description(tokenizer: Stateful) -> str:
    if isinstance(tokenizer, TokenizerPair):
        return "a pair of tokenizers"
    if isinstance(tokenizer, TaggingTokenizer):
        return "a tokenizer of tagged sentences"
    return "a tokenizer of text" if isinstance(tokenizer, Tokenizer) else "a tokenizer of notes"


def _read(path: str | Path, wanted: str) -> Stateful:
    path = expanded(path)
    if not path.is_file():
        raise FileNotFoundError(f"tokenizer_path {path}: no such file; give {wanted}")
    try:
        if not zipfile.is_zipfile(path):
            return SentencePieceTokenizer(path.read_bytes())
        content = read_plain(path)
        state = content.get("tokenizer") if isinstance(content, dict) else None
        if state is None:
            raise UserError("it holds no tokenizer; give a checkpoint of a model of text")
        return from_state(state)
    except (ValueError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        named = f"{path}: "
        reason = reason_of(error, most=300 + len(named)).removeprefix(named)
        raise UserError(f"tokenizer_path {path}: {reason}") from error
