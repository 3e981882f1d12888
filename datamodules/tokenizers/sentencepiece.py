"""Subwords by SentencePiece (Kudo & Richardson 2018): unigram (Kudo 2018) or byte-pair encoding (Sennrich et al. 2016).

Decoding restores every text exactly. SentencePiece stands for a space by U+2581, so it would turn a U+2581 in the text
into a space. Here U+2581 is always encoded as its three bytes, and decoding joins the bytes of the pieces. A model that
was learned from a text without spaces has no piece for one; a space is then encoded as its byte.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, Literal

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, byte_characters, to_bytes
from seqlight.core.errors import UserError, reason_of

SPACE = "\u2581"
PARTS = re.compile(f"[^\n{SPACE}]+\n?|\n|{SPACE}")  # lines with their line end; each U+2581 is a part of its own
SPACED_PARTS = re.compile(f"[^ \n{SPACE}]+\n?|\n|{SPACE}| ")  # each space too
SENTENCES = re.compile("[^\n]{0,999}[ \n]|[^\n]{1,1000}")  # at most 1,000 characters: SentencePiece drops longer lines
TRAIN_CHARACTERS = 20_000_000  # about this many are learned from, every n-th sentence of a longer text; takes 330 MB
SETTINGS: dict[str, Any] = {
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": False,
    "remove_extra_whitespaces": False,
    "user_defined_symbols": ["\n"],
    "bos_id": -1,
    "eos_id": -1,
    "pad_id": -1,
    "num_threads": 4,  # fixed, because another number sums in another order and learns another model
    "minloglevel": 2,
}
TOO_MANY = re.compile(r"too high .*<= (\d+)")  # SentencePiece's message when the text yields fewer pieces
PROBE = "  a b\n\t\N{EURO SIGN}\N{SNOWMAN} ﬁ\n\n"  # a model that normalises texts changes this one


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model. A character that no piece covers is encoded as its UTF-8 bytes.

    Args:
        model: The serialised model, the contents of a ``.model`` file.

    Raises:
        UserError: The bytes are not a SentencePiece model, or the model changes texts: it normalises, puts a space
            before the text, or has no byte fallback. Bits per character would then be those of another text.
    """

    kind = "sentencepiece"

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self.model = model
        try:
            if not model:
                raise TypeError("nothing to read")  # SentencePiece accepts an empty model and fails later
            self._processor: Any = SentencePieceProcessor(model_proto=model)
        except (RuntimeError, OSError, TypeError) as error:
            raise UserError("tokenizer is not a SentencePiece model; give a .model file of spm_train") from error
        sp = self._processor
        ids = range(sp.get_piece_size())
        self.vocab_size = len(ids)
        self.special = {sp.id_to_piece(i).strip("<>/"): i for i in ids if sp.is_unknown(i) or sp.is_control(i)}
        self._pieces = [sp.id_to_piece(i) for i in ids]
        self._bytes = [self._bytes_of(i) for i in ids]
        is_byte = np.array([sp.is_byte(i) for i in ids])
        first = np.array([data[0] if data else 0 for data in self._bytes])
        lengths = [0 if sp.is_control(i) else 1 if sp.is_unknown(i) else len(self._pieces[i]) for i in ids]
        self.characters = np.where(is_byte, byte_characters(first), lengths)
        # Parts of a text that are encoded as their bytes.
        as_bytes = [SPACE] if SPACE in self._pieces else [SPACE, " "]
        self._parts = PARTS if as_bytes == [SPACE] else SPACED_PARTS
        self._own = {part: [sp.piece_to_id(f"<0x{byte:02X}>") for byte in part.encode()] for part in as_bytes}
        if not is_byte.any() or self.decode(self.encode(PROBE)) != PROBE:
            raise UserError(
                "tokenizer is a SentencePiece model that does not keep every text as it is; train one with spm_train "
                "--byte_fallback --normalization_rule_name=identity --add_dummy_prefix=false "
                "--remove_extra_whitespaces=false"
            )

    def _bytes_of(self, i: int) -> bytes:
        sp, piece = self._processor, self._pieces[i]
        if sp.is_byte(i):
            return bytes([int(piece[3:5], 16)])
        if sp.is_control(i):
            return b""
        return UNKNOWN.encode() if sp.is_unknown(i) else piece.replace(SPACE, " ").encode()

    @staticmethod
    def training_version() -> str:
        """Eight hex digits that change with SentencePiece's version and our settings, hence with the learned pieces."""
        import sentencepiece

        return hashlib.sha256(repr((sentencepiece.__version__, TRAIN_CHARACTERS, SETTINGS)).encode()).hexdigest()[:8]

    @classmethod
    def train(
        cls,
        pieces: Iterable[str],
        algorithm: Literal["unigram", "bpe"],
        vocab_size: int,
        characters: int = 0,
        at_most: bool = False,
    ) -> "SentencePieceTokenizer":
        """Learns pieces from a text. The line end is a piece of its own, and no other piece crosses it.

        Args:
            pieces: The text in parts that end at line ends.
            algorithm: "unigram" or "bpe" (byte-pair encoding).
            vocab_size: Number of ids. 256 bytes, the unknown symbol and the line end are among them.
            characters: Length of the whole text. Above 20 million, every n-th sentence is used.
            at_most: Learn fewer pieces if the text yields fewer. ``pieces`` must then be a list, since it may be read
                twice.

        Raises:
            UserError: The text yields fewer pieces than ``vocab_size``, or its characters need more.
        """
        from sentencepiece import SentencePieceTrainer

        every_nth = max(1, -(-characters // TRAIN_CHARACTERS))
        model = io.BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=islice(_sentences(pieces), 0, None, every_nth),
                model_writer=model,
                model_type=algorithm,
                vocab_size=vocab_size,
                **SETTINGS,
            )
        except RuntimeError as error:
            if at_most and (found := TOO_MANY.search(str(error))):
                return cls.train(pieces, algorithm, int(found[1]), characters)
            raise UserError(_training_error(error, vocab_size)) from error
        return cls(model.getvalue())

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        to_bytes(text, "utf-8")  # refuses surrogates
        parts = self._parts.findall(text)
        encoded = self._processor.encode(parts) if parts else []
        if any(part in text for part in self._own):
            encoded = [self._own.get(part, ids) for part, ids in zip(parts, encoded, strict=True)]
        return np.fromiter(chain.from_iterable(encoded), dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """See :class:`Tokenizer`."""
        return b"".join([self._bytes[i] for i in ids]).decode("utf-8", "replace")

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`. A space is shown as U+2581."""
        return [self._pieces[i] for i in ids]

    def state(self) -> dict[str, Any]:
        """See :class:`Tokenizer`."""
        return {"kind": self.kind, "model": self.model}


def _sentences(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        yield from SENTENCES.findall(piece.replace(SPACE, ""))


def _training_error(error: RuntimeError, vocab_size: int) -> str:
    """Our message for an error that SentencePiece raised in training."""
    message = str(error)
    if found := TOO_MANY.search(message):
        return f"vocab_size {vocab_size} is too big for this text; give at most {found[1]}, or a longer text"
    if found := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return f"vocab_size {vocab_size} is too small for the text's characters and 256 bytes; give at least {found[1]}"
    return f"vocab_size {vocab_size}: SentencePiece learned nothing from this text ({reason_of(error)})"
