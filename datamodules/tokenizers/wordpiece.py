"""WordPiece, the subwords of BERT (Schuster & Nakajima 2012; Devlin et al. 2019), pretrained or learned here.

A text is normalised, by default to lower case, and split at white space and punctuation. Each word is then split from
left to right into the longest pieces that the vocabulary has. A piece that continues a word begins with ``##``, as in
``##ing``. Decoding restores neither capitals nor spaces. No text encodes to a special token: a "[SEP]" that a user
types becomes three ordinary tokens, where transformers' tokenizer gives the separator.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, Tokenizer, to_bytes
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.paths import expanded

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4 of a vocabulary that is learned here
CONTINUATION = "##"  # prefix of a piece that continues a word
MAX_WORD_CHARACTERS = 100  # a longer word is unknown, as in BERT
MAX_PIECES = 2_000_000  # a larger vocabulary is refused
ENCODE_CHUNK = 20_000  # texts per call of the library, whose result is much larger than the ids alone
MAX_ALPHABET = 1000  # a learned vocabulary has the most frequent characters, at most this many
HUB_FILES = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
# A text whose ids differ under most other normalisations.
PROBE = "The naïve Café's 12 東京 [x] ﬁne-tuned\tunbelievably\u200b Éa!?"


class WordPieceTokenizer(Tokenizer):
    """A WordPiece tokenizer with a given vocabulary.

    Args:
        vocabulary: The pieces, one per line, in the order of their ids. [PAD], [UNK], [CLS] and [SEP] must be among
            them.
        lower_case: Convert every text to lower case.
        strip_accents: Remove accents, so that é becomes e. Default: the value of ``lower_case``, as in BERT.

    Raises:
        UserError: A special piece is missing, a piece occurs twice, or there are too many pieces.
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
            ids, unk_token="[UNK]", continuing_subword_prefix=CONTINUATION, max_input_chars_per_word=MAX_WORD_CHARACTERS
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
        return len(self._pieces[i].removeprefix(CONTINUATION))

    @staticmethod
    def training_version() -> str:
        """Eight hex digits that change with the library's version and our settings, hence with the learned pieces."""
        import tokenizers

        return hashlib.sha256(repr((tokenizers.__version__, SPECIAL, MAX_ALPHABET)).encode()).hexdigest()[:8]

    @classmethod
    def train(cls, texts: Sequence[str], vocab_size: int, lower_case: bool = True) -> "WordPieceTokenizer":
        """Learns a vocabulary: the most frequent pair of pieces is merged until there are ``vocab_size`` pieces.

        A pair that occurs once is not merged. The library numbers characters in the order of a hash table, which
        differs between processes, and breaks ties by these numbers. Characters that are given as special tokens keep
        their order, so the result depends on the texts alone.

        Args:
            texts: The training texts.
            vocab_size: Largest number of ids, with special tokens and single characters.
            lower_case: Convert the texts to lower case and remove accents.

        Raises:
            UserError: The characters alone need more ids, or the texts have no word.
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
        seen_within = {character for word in words for character in word[1:]}
        within = {character for character in alphabet if character.isalnum() or character in seen_within}
        known = [*SPECIAL, *sorted(alphabet), *(CONTINUATION + character for character in sorted(within))]
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
            continuing_subword_prefix=CONTINUATION,
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        learned = backend.get_vocab()
        return cls("\n".join(sorted(learned, key=learned.__getitem__)), lower_case)

    @classmethod
    def from_pretrained(cls, source: str, revision: str | None = None) -> "WordPieceTokenizer":
        """The tokenizer of a folder or of a model on the hub, as transformers' BertTokenizer reads it.

        Args:
            source: A folder, or a model's id on the hub such as ``google-bert/bert-base-uncased``.
            revision: Branch, tag or commit of the model on the hub.

        Raises:
            UserError: The tokenizer cannot be loaded, or is not BERT's WordPiece.
        """
        folder = expanded(source)
        return cls._read(source, folder if folder.is_dir() else _downloaded(source, revision))

    @classmethod
    def _read(cls, source: str, folder: Path) -> "WordPieceTokenizer":
        from transformers import BertTokenizer

        # For a folder without a vocabulary, transformers 5 returns a tokenizer of five tokens without a warning.
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
        except Exception as error:  # transformers raises OSError, KeyError and the exceptions of its Rust library
            raise UserError(f"tokenizer_path {source}: no BERT tokenizer ({reason_of(error)})") from error
        if sorted(ids.values()) != list(range(len(ids))) or ours.encode(PROBE) != theirs.encode(
            PROBE, add_special_tokens=False
        ):
            raise UserError(f"tokenizer_path {source}: is not BERT's WordPiece; other kinds are not supported")
        return ours

    def encode_texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of many texts, one array (N,) of int32 per text. The library encodes in several threads."""
        for text in texts:
            to_bytes(text, "utf-8")  # refuses surrogates by name
        found: list[np.ndarray] = []
        for first in range(0, len(texts), ENCODE_CHUNK):
            chunk = list(texts[first : first + ENCODE_CHUNK])
            encoded = self._backend.encode_batch_fast(chunk, add_special_tokens=False)
            found += [np.array(one.ids, dtype=np.int32) for one in encoded]
        return found

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        return self.encode_texts([text])[0]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, with one space between words. Special tokens are left out, except [UNK] (U+FFFD)."""
        hidden = set(self.special.values()) - {self.special["unk"]}
        shown = (UNKNOWN if i == self.special["unk"] else self._pieces[i] for i in map(int, ids) if i not in hidden)
        return "".join(
            piece.removeprefix(CONTINUATION) if piece.startswith(CONTINUATION) else " " + piece for piece in shown
        ).strip()

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """See :class:`Tokenizer`. Pieces that continue a word begin with ``##``."""
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
    """The local folder with the tokenizer files of a model on the hub; without a network, the cached copy.

    Without a network, transformers retries for minutes and then returns an empty tokenizer. We therefore download the
    files ourselves.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub, revision=revision, allow_patterns=HUB_FILES))
    except Exception as error:  # the hub's client passes on exceptions of several HTTP libraries
        raise UserError(
            f"tokenizer_path {hub}: no such folder or checkpoint, and not loaded from the hub "
            f"({type(error).__name__}: {reason_of(error)}); without a network, give a folder with vocab.txt"
        ) from error
