"""Sentences of given words as ids: a word's own id or its subwords, and its characters.

B sentences of a batch, T words of the longest, S tokens of the longest, U different words, C characters of the longest
word.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.tokenizers.base import to_bytes
from datamodules.tokenizers.stateful import Stateful
from datamodules.tokenizers.wordpiece import WordPieceTokenizer
from seqlight.core.errors import UserError

PAD, UNK = 0, 1  # of words and of characters
NAMES = ("[PAD]", "[UNK]")
MAX_WORDS = 2_000_000


class TaggingTokenizer(Stateful):
    """Words of sentences to ids and characters. Give a list of words, or the tokenizer of a pretrained encoder.

    Args:
        alphabet: The characters, in the order of their ids from 2 on; others are unknown (1).
        words: The words, in the order of their ids from 2 on; others are unknown (1).
        pieces: Tokenizer that splits words into subwords.
        lower_case: Whether words are looked up in lower case.
        max_characters: Of a longer word, the first and the last characters are read.

    Attributes:
        special: Ids without a text of their own, by name.
        num_characters: Number of ids of characters.

    Raises:
        UserError: A word or a character occurs twice, or both or neither of words and pieces are given.
    """

    kind = "tagging"

    def __init__(
        self,
        alphabet: str,
        words: Sequence[str] | None = None,
        pieces: WordPieceTokenizer | None = None,
        lower_case: bool = True,
        max_characters: int = 24,
    ) -> None:
        if (words is None) == (pieces is None):
            raise UserError("tokenizer: give either words or pieces")
        self.alphabet, self.lower_case, self.max_characters = alphabet, lower_case, max_characters
        self.wordpiece, self._words = pieces, None if words is None else list(words)
        self._ids = {word: i for i, word in enumerate(self._words or (), start=len(NAMES))}
        self._characters = {character: i for i, character in enumerate(alphabet, start=len(NAMES))}
        if len(self._words or ()) > MAX_WORDS:
            raise UserError(f"tokenizer has {len(self._ids):,} words; at most {MAX_WORDS:,} are read")
        for name, held, ids in (("word", self._words or (), self._ids), ("character", alphabet, self._characters)):
            if len(ids) < len(held):
                raise UserError(f"tokenizer has the {name} {Counter(held).most_common(1)[0][0]!r} twice")
        self.num_characters = len(NAMES) + len(alphabet)
        self.vocab_size = len(NAMES) + len(self._ids) if pieces is None else pieces.vocab_size
        self.special = {"pad": PAD, "unk": UNK} if pieces is None else pieces.special
        self._tokens: dict[str, np.ndarray] = {}  # of words that were read, as their spellings
        self._spellings: dict[str, np.ndarray] = {}

    @classmethod
    def learn(
        cls,
        sentences: Iterable[Sequence[str]],
        min_count: int = 1,
        pieces: WordPieceTokenizer | None = None,
        lower_case: bool = True,
        max_characters: int = 24,
    ) -> "TaggingTokenizer":
        """Takes the characters, and without ``pieces`` the words, of the training sentences.

        Args:
            sentences: Their words.
            min_count: Words and characters that are used less often are unknown.
            pieces: Tokenizer of subwords to use in place of words.
            lower_case: See the class.
            max_characters: See the class.
        """
        counts = Counter(word for sentence in sentences for word in sentence)
        characters: Counter[str] = Counter()
        for word, count in counts.items():
            for character in word:
                characters[character] += count
        alphabet = "".join(sorted(one for one, count in characters.items() if count >= min_count))
        if pieces is not None:
            return cls(alphabet, None, pieces, lower_case, max_characters)
        looked_up: Counter[str] = Counter()
        for word, count in counts.items():
            looked_up[word.lower() if lower_case else word] += count
        frequent = (word for word, count in looked_up.items() if count >= min_count)
        words = sorted(frequent, key=lambda word: (-looked_up[word], word))
        return cls(alphabet, words, None, lower_case, max_characters)

    def tokens(self, word: str) -> np.ndarray:
        """The id of a word, or the ids of its subwords; at least one.

        Raises:
            UserError: The word has a lone surrogate.
        """
        if word not in self._tokens:
            to_bytes(word, "utf-8")  # refuses surrogates by name
            if self.wordpiece is not None:
                ids = self.wordpiece.encode_array(word)
                found = ids if len(ids) else np.array([self.special["unk"]])  # nothing is left of a control character
            else:
                found = np.array([self._ids.get(word.lower() if self.lower_case else word, UNK)])
            self._tokens[word] = found.astype(np.int64)
        return self._tokens[word]

    def spelling(self, word: str) -> np.ndarray:
        """The ids of a word's characters; of a long word, its first and last ones."""
        if word not in self._spellings:
            head = (self.max_characters + 1) // 2
            read = word if len(word) <= self.max_characters else word[:head] + word[head - self.max_characters :]
            self._spellings[word] = np.array([self._characters.get(one, UNK) for one in read], dtype=np.int64)
        return self._spellings[word]

    def num_tokens(self, sentence: Sequence[str]) -> int:
        """Tokens of a sentence, [CLS] and [SEP] included."""
        return sum(len(self.tokens(word)) for word in sentence) + 2 * (self.wordpiece is not None)

    def batch(self, sentences: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """A batch of sentences, none of them empty, padded on the right.

        Returns:
            ``input_ids`` (B, S), and ``attention_mask`` (B, S), true at tokens; ``word_mask`` (B, T), true at words;
            ``first_tokens`` (B, T), the place of each word's first token, 0 at padding; ``spellings`` (U, C), the
            characters of each different word, and ``spelling_of`` (B, T), which of them a word has, 0 at padding.
        """
        numbers: dict[str, int] = {}
        spelling_of = [[numbers.setdefault(word, len(numbers)) for word in sentence] for sentence in sentences]
        tokens = [[self.tokens(word) for word in sentence] for sentence in sentences]
        if self.wordpiece is not None:
            cls, sep = np.array([self.special["cls"]]), np.array([self.special["sep"]])
            rows = [np.concatenate([cls, *row, sep]) for row in tokens]
        else:
            rows = [np.concatenate(row) for row in tokens]
        before = int(self.wordpiece is not None)  # [CLS]
        first = [before + np.cumsum([0, *map(len, row[:-1])]) for row in tokens]
        places, word_mask = padded(spelling_of)
        input_ids, mask = padded(rows, self.special["pad"])
        return {
            "input_ids": input_ids,
            "attention_mask": mask,
            "word_mask": word_mask,
            "first_tokens": padded(first)[0],
            "spellings": padded([self.spelling(word) for word in numbers])[0],
            "spelling_of": places,
        }

    def encode(self, word: str) -> list[int]:
        """The ids of one word."""
        return self.tokens(word).tolist()

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The text of each id by itself."""
        if self.wordpiece is not None:
            return self.wordpiece.pieces(ids)
        named = [*NAMES, *(self._words or ())]
        return [named[i] for i in ids]

    def state(self) -> dict[str, Any]:
        """See :class:`Stateful`."""
        return {
            "kind": self.kind,
            "alphabet": self.alphabet,
            "words": None if self._words is None else "\n".join(self._words),
            "pieces": None if self.wordpiece is None else self.wordpiece.state(),
            "lower_case": self.lower_case,
            "max_characters": self.max_characters,
        }


def padded(rows: Sequence[Sequence[int] | np.ndarray], filler: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as (N, longest), and a mask of that shape, true at their numbers."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    table = np.full(mask.shape, filler, dtype=np.int64)
    table[mask] = np.concatenate(rows)
    return torch.from_numpy(table), torch.from_numpy(mask)
