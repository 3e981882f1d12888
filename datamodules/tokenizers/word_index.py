"""Words by rank, numbered as in Keras' IMDb data."""

import string
from collections.abc import Sequence

import numpy as np

from datamodules.tokenizers.base import to_bytes
from datamodules.tokenizers.words import WordTokenizer

# What Keras' text_to_word_sequence takes as a space; the apostrophe is not among them.
SPACES = str.maketrans(dict.fromkeys((set(string.punctuation) - {"'"}) | {"\t", "\n", "\r"}, " "))


class WordIndexTokenizer(WordTokenizer):
    """Words in the order of their ranks, with the ids of ``keras.datasets.imdb.load_data``.

    Padding is 0, the start of a text 1, an unknown word 2, and the word of rank r has the id r + 3. Every text begins
    with its start. A text is split at spaces, and a part that is no word of the index as Keras splits texts: in lower
    case, without punctuation.

    Args:
        words: The words, one per line, in the order of their ranks from 1 on.
    """

    kind = "word_index"
    NAMES = ("[PAD]", "[CLS]", "[UNK]", "[SEP]")  # 3 is no word's id

    def __init__(self, words: str) -> None:
        super().__init__(words, lower_case=True)

    @classmethod
    def of(cls, ranked: Sequence[str], vocab_size: int) -> "WordIndexTokenizer":
        """The tokenizer with the first of some words, as ``load_data``'s ``num_words`` chooses them.

        Args:
            ranked: The words in the order of their ranks.
            vocab_size: Largest number of ids.
        """
        return cls("\n".join(ranked[: max(vocab_size - len(cls.NAMES), 0)]))

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        to_bytes(text, "utf-8")  # refuses surrogates by name
        ids = [self.special["cls"]]
        for part in text.split(" "):
            found = [part] if part in self._ids else part.lower().translate(SPACES).split()
            ids += [self._ids.get(word, self.special["unk"]) for word in found]
        return np.array(ids, dtype=np.int32)
