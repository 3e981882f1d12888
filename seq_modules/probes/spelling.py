"""Spelling: words of the held-out text against non-words made from them. The lexical decision task, for models.

Where a word stands matters as much as what it is. A model of characters says nothing of a word's end unless something
follows ("hors" is never less likely than "horse"), and a model of pieces knows words with the space before them. So:
alone, a word stands between a space and a comma, " horse,", where either model splits it as in running text; in its
context, it stands between the words that surround it somewhere in the held-out text, a few before and two after.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from seq_modules.probes.pairs import Pair, distinct
from seqlight.core.errors import UserError

WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")  # letters, and what apostrophes and hyphens join
PART = re.compile(r"[^\W\d_]+")
ENDINGS = ("s", "es", "d", "ed", "r", "er", "st", "est", "n", "en", "y", "ly", "ing", "th", "eth", "t", "less", "ness")
BEGINNINGS = ("a", "un", "re", "in", "dis", "be", "en", "out", "over", "fore", "mis", "up")
AFTER = 2  # words after the word in its context


class Lexicon:
    """The words of texts, in small letters, and forms of them that may well be words.

    Args:
        texts: Everything that the model has read or will read.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.words = {part.lower() for text in texts for part in PART.findall(text)}
        self.words |= {word.lower() for text in texts for word in WORD.findall(text)}

    def __contains__(self, word: str) -> bool:
        """Whether it is one of the words, or two of them, or one with an ending or a beginning put on or taken off."""
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
    """Words of the held-out text against non-words, in suites "spelling_seen" and "spelling_unseen" (in training).

    Words are in small letters alone (no names, no words with apostrophe or hyphen) and drawn from the different words
    of the held-out text, each as likely as any other. Non-words stand nowhere in either text, nor are they plain
    inflections of words that do. Kinds: delete, insert, substitute, transpose (one edit), and shuffle (all letters,
    first and last included).

    Args:
        train: What the model was trained on.
        held_out: What it was not.
        per_kind: Pairs of each kind in each suite; fewer, if there are not so many words.
        seed: Of the words and the edits.
        context: Words of the held-out text before the word; 0 for the word alone.
        min_length: Letters of a word and of a non-word. Shorter strings are nearly all words of some sort.
        per_word: Non-words of each kind that a word may stand against. More than one makes more pairs, which are less
            independent than the intervals take them to be.

    Raises:
        ValueError: An argument is out of its range.
    """
    least_of = {"per_kind": 1, "context": 0, "min_length": 2, "per_word": 1}
    for (name, least), value in zip(least_of.items(), (per_kind, context, min_length, per_word), strict=True):
        if value < least:
            raise UserError(f"{name} must be at least {least}, not {value!r}")
    generator = random.Random(f"spelling {seed}")
    counts = Counter(word.lower() for word in WORD.findall(train))
    known = Lexicon([train, held_out])
    # As frequent as in the lexicon; sorted, as a set's order is another one in each process.
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
    """The word edited so that it is none any more; None if twenty tries bring nothing."""
    for _ in range(20):
        bad = EDITS[kind](word, letters, generator)
        if bad != word and bad not in known:
            return bad
    return None


def delete(word: str, letters: str, generator: random.Random) -> str:
    """Without one letter."""
    at = generator.randrange(len(word))
    return word[:at] + word[at + 1 :]


def insert(word: str, letters: str, generator: random.Random) -> str:
    """With one letter more."""
    at = generator.randrange(len(word) + 1)
    return word[:at] + generator.choice(letters) + word[at:]


def substitute(word: str, letters: str, generator: random.Random) -> str:
    """With another letter in place of one."""
    at = generator.randrange(len(word))
    return word[:at] + generator.choice(letters) + word[at + 1 :]


def transpose(word: str, letters: str, generator: random.Random) -> str:
    """With two neighbours exchanged."""
    at = generator.randrange(len(word) - 1)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def shuffle(word: str, letters: str, generator: random.Random) -> str:
    """Its letters in any order."""
    return "".join(generator.sample(word, len(word)))


EDITS: dict[str, Callable[[str, str, random.Random], str]] = {
    "delete": delete,
    "insert": insert,
    "substitute": substitute,
    "transpose": transpose,
    "shuffle": shuffle,
}
