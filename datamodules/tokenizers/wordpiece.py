"""BERT's subwords: WordPiece (Schuster & Nakajima 2012; Devlin et al. 2019), from a pretrained folder or learned here.

A text is cleaned, lower-cased and cut at white space and punctuation; each word is then read from the left by the
longest piece that fits, pieces within a word being written ``##ing``. Casing and spaces do not come back. Texts never
yield special tokens: a "[SEP]" that somebody typed is three tokens of text, where transformers' would read a mark.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, to_bytes
from seqlight.core.errors import UserError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # of a vocabulary learned here, ids 0 to 4
INSIDE = "##"  # how a piece begins that goes on with a word
LONGEST_WORD = 100  # characters; a longer word is unknown, as BERT has it
MAX_PIECES = 2_000_000  # of a vocabulary that is read
ENCODED = 20_000  # texts that are encoded at a time; what the library returns for each is much larger than its ids
MAX_ALPHABET = 1000  # characters that a vocabulary learned here knows, the most frequent ones
HUB_FILES = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
PROBE = (
    "The naïve Café's 12 東京 [x] ﬁne-tuned\tunbelievably\u200b Éa!?"  # what another normalisation would read otherwise
)


class WordPieceTokenizer(Tokenizer):
    """The pieces of a vocabulary.

    Args:
        vocabulary: The pieces in the order of their ids, a line each; [PAD], [UNK], [CLS] and [SEP] among them.
        lower_case: Read every text in lower case.
        strip_accents: Read é as e; by default as ``lower_case``, which is BERT's habit.

    Raises:
        ValueError: A special piece is missing, or a piece stands there twice.
    """

    kind = "wordpiece"

    def __init__(self, vocabulary: str, lower_case: bool = True, strip_accents: bool | None = None) -> None:
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, normalizers, pre_tokenizers

        self.lower_case = lower_case
        self.strip_accents = lower_case if strip_accents is None else strip_accents
        self._pieces = vocabulary.removesuffix("\n").split("\n")
        if len(self._pieces) > MAX_PIECES:
            raise UserError(f"tokenizer has {len(self._pieces):,} pieces; at most {MAX_PIECES:,} are read")
        ids = {piece: i for i, piece in enumerate(self._pieces)}
        if missing := [piece for piece in SPECIAL[:4] if piece not in ids]:
            raise UserError(f"tokenizer lacks {', '.join(missing)}, which BERT's vocabularies have")
        if len(ids) < len(self._pieces):
            twice = Counter(self._pieces).most_common(1)[0][0]
            raise UserError(f"tokenizer has the piece {twice!r} twice; each may have one id")
        self.vocab_size = len(ids)
        self.special = {piece.strip("[]").lower(): ids[piece] for piece in SPECIAL if piece in ids}
        self.characters = np.array([self._length(i) for i in range(self.vocab_size)], dtype=np.int64)
        model = models.WordPiece(
            ids, unk_token="[UNK]", continuing_subword_prefix=INSIDE, max_input_chars_per_word=LONGEST_WORD
        )
        self._backend = Backend(model)
        self._backend.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=True,
            strip_accents=self.strip_accents,
            lowercase=lower_case,
        )
        self._backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def _length(self, i: int) -> int:
        if i in self.special.values():
            return int(i == self.special["unk"])
        return len(self._pieces[i].removeprefix(INSIDE))

    @staticmethod
    def recipe() -> str:
        """8 hex digits of what decides on learned pieces beside the text: our settings and the library's version."""
        import tokenizers

        return hashlib.sha256(repr((tokenizers.__version__, SPECIAL, MAX_ALPHABET)).encode()).hexdigest()[:8]

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int, lower_case: bool = True) -> "WordPieceTokenizer":
        """Learns pieces: pairs are joined by frequency until there are enough, none of fewer than 2 uses.

        Left alone, the library numbers the characters in the order of a hash table, which is another in each process,
        and breaks ties by these numbers. Handed over in order, as special tokens, they make the result a function of
        the texts.

        Args:
            texts: What to learn from.
            vocab_size: Number of ids at most, special ones and single characters included.
            lower_case: Read the texts in lower case, and without accents.

        Raises:
            ValueError: The characters alone need more, or there are none.
        """
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, normalizers, pre_tokenizers, trainers

        backend = Backend(models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        words = Counter(
            word
            for text in texts
            for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
        )
        counts: Counter[str] = Counter()
        for word, count in words.items():
            for character in word:
                counts[character] += count
        alphabet = set(sorted(counts, key=lambda character: (-counts[character], character))[:MAX_ALPHABET])
        seen_inside = {character for word in words for character in word[1:]}
        inside = {character for character in alphabet if character.isalnum() or character in seen_inside}
        known = [*SPECIAL, *sorted(alphabet), *(INSIDE + character for character in sorted(inside))]
        if not alphabet:
            raise UserError("tokenizer: the training texts hold no word to learn from")
        if vocab_size < len(known):
            raise UserError(f"vocab_size {vocab_size} is too small for the characters of the texts: give {len(known)}")
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=known,
            limit_alphabet=len(alphabet),
            initial_alphabet=sorted(alphabet),
            continuing_subword_prefix=INSIDE,
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        learned = backend.get_vocab()
        return cls("\n".join(sorted(learned, key=learned.__getitem__)), lower_case)

    @classmethod
    def from_pretrained(cls, source: str, revision: str | None = None) -> "WordPieceTokenizer":
        """The tokenizer of a folder or of a model on the hub, as transformers' BertTokenizer reads it.

        Args:
            source: A folder, or a hub id such as ``google-bert/bert-base-uncased``.
            revision: Branch, tag or commit of the hub's model.

        Raises:
            ValueError: It cannot be loaded, or is no WordPiece of BERT's kind.
        """
        folder = Path(source).expanduser()
        return cls._read(source, folder if folder.is_dir() else _downloaded(source, revision))

    @classmethod
    def _read(cls, source: str, folder: Path) -> "WordPieceTokenizer":
        from transformers import BertTokenizer

        # transformers 5 makes a tokenizer of five tokens, in silence, of a folder without a vocabulary.
        if not any((folder / name).is_file() for name in HUB_FILES[:2]):
            raise UserError(f"tokenizer_path {source}: holds neither vocab.txt nor tokenizer.json")
        try:
            theirs = BertTokenizer.from_pretrained(folder)
            ids = theirs.get_vocab()
            normalizer = theirs.backend_tokenizer.normalizer
            ours = cls(
                "\n".join(sorted(ids, key=ids.__getitem__)),
                bool(normalizer.lowercase),
                getattr(normalizer, "strip_accents", None),
            )
        except Exception as error:  # whatever the layers of transformers raise: OSError, KeyError, the Rust core's own
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"tokenizer_path {source}: no BERT tokenizer ({reason})") from error
        if sorted(ids.values()) != list(range(len(ids))) or ours.encode(PROBE) != theirs.encode(
            PROBE, add_special_tokens=False
        ):
            raise UserError(f"tokenizer_path {source}: is no WordPiece of BERT's kind; other kinds are not read")
        return ours

    def encode_texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of many texts, an array of integers each: several threads share the work."""
        for text in texts:
            to_bytes(text, "utf-8")  # refuses surrogates by name
        found: list[np.ndarray] = []
        for first in range(0, len(texts), ENCODED):
            encoded = self._backend.encode_batch_fast(list(texts[first : first + ENCODED]), add_special_tokens=False)
            found += [np.array(one.ids, dtype=np.int32) for one in encoded]
        return found

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        return self.encode_texts([text])[0]

    def decode(self, ids: Iterable[int]) -> str:
        """The pieces with spaces between words, in the tokenizer's own casing; of special ones [UNK] alone shows."""
        hidden = set(self.special.values()) - {self.special["unk"]}
        shown = (UNKNOWN if i == self.special["unk"] else self._pieces[i] for i in map(int, ids) if i not in hidden)
        return "".join(
            chain.from_iterable((piece[2:],) if piece.startswith(INSIDE) else (" ", piece) for piece in shown)
        ).strip()

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`; pieces within a word begin with ``##``."""
        return [self._pieces[i] for i in ids]

    def state(self) -> dict[str, Any]:
        """See :class:`Tokenizer`."""
        return {
            "kind": self.kind,
            "vocabulary": "\n".join(self._pieces),
            "lower_case": self.lower_case,
            "strip_accents": self.strip_accents,
        }


def _downloaded(hub: str, revision: str | None) -> Path:
    """The folder of a hub model's tokenizer files; without a network, of a copy that was loaded before.

    Not left to transformers, which tries for minutes without a network and then gives an empty tokenizer.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub, revision=revision, allow_patterns=HUB_FILES))
    except Exception as error:  # the hub's client raises whatever its layers do
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"tokenizer_path {hub}: no such folder or checkpoint, and not loaded from the hub "
            f"({type(error).__name__}: {reason}); without a network, give a folder with vocab.txt"
        ) from error
