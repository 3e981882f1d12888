"""Whole words and line ends as tokens, for language models of running text."""

from collections.abc import Iterable

import numpy as np

from datamodules.tokenizers.base import UNKNOWN, to_bytes
from datamodules.tokenizers.words import CLOSING, SPECIAL, WordTokenizer, join_words, split_words


class WordLineTokenizer(WordTokenizer):
    """A word tokenizer whose [SEP] is the end of a line. Ids become running text again.

    The text of ids may differ from what was encoded in its spaces, in empty lines' spaces, and in unknown words. A
    word stands for its characters and the space before it, a line end for none, since its line's first word has no
    space: over a text of lines with words and single spaces the sum is the text's length.

    Args:
        words: See :class:`WordTokenizer`.
        lower_case: See :class:`WordTokenizer`.
    """

    kind = "word_lines"

    def __init__(self, words: str, lower_case: bool = False) -> None:
        super().__init__(words, lower_case)
        spaces = [0, 1, 0, 0, *(not CLOSING.fullmatch(piece) for piece in self._pieces[len(SPECIAL) :])]
        self.characters = self.characters + np.array(spaces, dtype=np.int64)

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, lower_case: bool = False, min_count: int = 1
    ) -> "WordLineTokenizer":
        """Takes the most frequent words, as :meth:`WordTokenizer.train` does, line by line."""
        lines = (line for text in texts for line in text.split("\n"))
        found = WordTokenizer.train(lines, vocab_size, lower_case, min_count)
        return cls("\n".join(found._pieces[len(SPECIAL) :]), lower_case)

    def encode_array(self, text: str) -> np.ndarray:
        """See :class:`Tokenizer`."""
        to_bytes(text, "utf-8")  # refuses surrogates by name
        first, *others = text.split("\n")
        ids = self._word_ids(first)
        for line in others:
            ids.append(self.special["sep"])
            ids += self._word_ids(line)
        return np.array(ids, dtype=np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ids as running text; unknown words are U+FFFD."""
        return "\n".join(map(join_words, self._lines(ids)))

    def continuation(self, prompt: str, ids: Iterable[int]) -> str:
        """See :class:`Tokenizer`. A word has a space before it, unless the prompt ends with one."""
        (first, *others) = self._lines(ids)
        before = split_words(prompt.rpartition("\n")[2], self.lower_case)
        text = join_words([*before, *first])[len(join_words(before)) :]
        if not prompt or prompt[-1].isspace():
            text = text.removeprefix(" ")
        return "\n".join([text, *map(join_words, others)])

    def _lines(self, ids: Iterable[int]) -> list[list[str]]:
        lines: list[list[str]] = [[]]
        for i in map(int, ids):
            if i == self.special["sep"]:
                lines.append([])
            elif i == self.special["unk"]:
                lines[-1].append(UNKNOWN)
            elif i >= len(SPECIAL):
                lines[-1].append(self._pieces[i])
        return lines
