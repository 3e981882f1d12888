"""Minimal pairs of spelling: words of a held-out text against non-words made from them (lexical decision).

The text around the word matters. A character model never gives "horse" more probability than its beginning "hors", and
a subword model knows words with the space before them. A word alone is therefore placed between a space and a comma,
" horse,", which both models split as in running text. With a context, it stands between the words around one of its
occurrences in the held-out text, a few before and two after.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from seq_modules.probes.pairs import Pair, distinct
from seqlight.core.hyperparameters import check_range

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")  # letters, joined by apostrophes and hyphens
PART = re.compile(r"[^\W\d_]+")
ENDINGS = ("s", "es", "d", "ed", "r", "er", "st", "est", "n", "en", "y", "ly", "ing", "th", "eth", "t", "less", "ness")
BEGINNINGS = ("a", "un", "re", "in", "dis", "be", "en", "out", "over", "fore", "mis", "up")
AFTER = 2  # words after the word in its context


class Lexicon:
    """The words of texts in lower case, and likely inflections and compounds of them.

    Args:
        texts: The texts.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.words = {part.lower() for text in texts for part in PART.findall(text)}
        self.words |= {word.lower() for text in texts for word in WORD.findall(text)}

    def __contains__(self, word: str) -> bool:
        """Whether it is one of the words, two of them joined, or one with a prefix or suffix added or removed."""
        if word in self.words or any(word + ending in self.words for ending in ENDINGS):
            return True
        stems = [word.removesuffix(ending) for ending in ENDINGS if word.endswith(ending)]
        stems += [word.removeprefix(beginning) for beginning in BEGINNINGS if word.startswith(beginning)]
        if word.endswith(("ied", "ies", "ier", "iest", "ily")):
            stems.append(word[: word.rindex("i")] + "y")
        for stem in stems:
            undoubled = stem[:-1] if stem[-1:] == stem[-2:-1] else stem
            if len(stem) > 1 and self.words & {stem, f"{stem}e", undoubled, f"{stem}y"}:
                return True
            if len(stem) > 2 and any(stem + ending in self.words for ending in ENDINGS):
                return True
        return any(word[:at] in self.words and word[at:] in self.words for at in range(3, len(word) - 2))


def make_spelling(
    train: str,
    held_out: str,
    per_kind: int = 500,
    seed: int = 0,
    context: int = 0,
    min_length: int = 4,
    per_word: int = 1,
) -> list[Pair]:
    """Words of the held-out text against non-words: "spelling_seen" of words in the training text, "spelling_unseen".

    The words are the distinct words of the held-out text in lower case, without apostrophes and hyphens, drawn with
    equal probability. A non-word occurs in neither text and is no plain inflection of a word that does. Kinds: delete,
    insert, substitute, transpose (one edit each), and shuffle (all letters).

    Args:
        train: The training text.
        held_out: The text that the words come from.
        per_kind: Pairs of each kind in each suite, at least 1; fewer if there are too few words.
        seed: Seed of the choice of words and edits.
        context: Number of words of the held-out text before the word; 0 for the word alone.
        min_length: Least number of letters of a word and of a non-word, at least 2. Most shorter strings are words.
        per_word: Most non-words of each kind for a word, at least 1. The intervals take pairs as independent, which
            pairs of the same word are not.

    Raises:
        UserError: An argument is out of its range.
    """
    check_range("per_kind", per_kind, least=1)
    check_range("context", context, least=0)
    check_range("min_length", min_length, least=2)
    check_range("per_word", per_word, least=1)
    generator = random.Random(f"spelling {seed}")
    counts = Counter(word.lower() for word in WORD.findall(train))
    known = Lexicon([train, held_out])
    # Letters as frequent as in the lexicon; sorted, since the order of a set differs between processes.
    letters = "".join(sorted(word for word in known.words if word.isalpha()))
    spans = list(WORD.finditer(held_out))
    places: dict[str, list[int]] = {}
    for at, span in enumerate(spans):
        word = span[0]
        if len(word) >= min_length and word.isalpha() and word.islower():
            places.setdefault(word, []).append(at)

    def pairs(words: list[str], suite: str, kind: str) -> Iterator[Pair]:
        for word in words:
            bad = non_word(word, kind, known, letters, generator)
            if bad is None or len(bad) < min_length:
                continue
            before, after = " ", ","
            if context:
                at = generator.choice(places[word])
                first, last = spans[max(0, at - context)], spans[min(len(spans) - 1, at + AFTER)]
                before = " " + held_out[first.start() : spans[at].start()]
                after = held_out[spans[at].end() : last.end()]
            yield Pair(before + word + after, before + bad + after, suite, kind, word, counts[word])

    found = []
    for suite, words in (
        ("spelling_seen", sorted(word for word in places if counts[word])),
        ("spelling_unseen", sorted(word for word in places if not counts[word])),
    ):
        for kind in EDITS:
            order = [word for _ in range(per_word) for word in generator.sample(words, len(words))]
            found += distinct(pairs(order, suite, kind), per_kind)
    return found


def non_word(word: str, kind: str, known: Lexicon, letters: str, generator: random.Random) -> str | None:
    """The word with an edit that makes it a non-word; None if twenty tries fail."""
    for _ in range(20):
        bad = EDITS[kind](word, letters, generator)
        if bad != word and bad not in known:
            return bad
    return None


def delete(word: str, letters: str, generator: random.Random) -> str:
    """The word without one of its letters."""
    at = generator.randrange(len(word))
    return word[:at] + word[at + 1 :]


def insert(word: str, letters: str, generator: random.Random) -> str:
    """With one more letter."""
    at = generator.randrange(len(word) + 1)
    return word[:at] + generator.choice(letters) + word[at:]


def substitute(word: str, letters: str, generator: random.Random) -> str:
    """With one letter replaced."""
    at = generator.randrange(len(word))
    return word[:at] + generator.choice(letters) + word[at + 1 :]


def transpose(word: str, letters: str, generator: random.Random) -> str:
    """With two neighbouring letters exchanged."""
    at = generator.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def shuffle(word: str, letters: str, generator: random.Random) -> str:
    """With its letters in random order."""
    return "".join(generator.sample(word, len(word)))


EDITS: dict[str, Callable[[str, str, random.Random], str]] = {
    "delete": delete,
    "insert": insert,
    "substitute": substitute,
    "transpose": transpose,
    "shuffle": shuffle,
}
