"""What the words of a text are: nouns with both numbers, verbs with both forms, adjectives. English, by its company.

No tagger and no dictionary: a word counts as a noun because it stands where nouns stand. Spelling rules make the other
form, and both forms must stand in the text. Short closed lists have the irregular and the exceptional.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[.,;:!?]")


def listed(words: str) -> frozenset[str]:
    """The words of a line."""
    return frozenset(words.split())


IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "gentleman": "gentlemen", "gentlewoman": "gentlewomen",
    "kinsman": "kinsmen", "nobleman": "noblemen", "countryman": "countrymen", "foot": "feet", "tooth": "teeth",
    "goose": "geese", "mouse": "mice", "ox": "oxen", "wife": "wives", "life": "lives", "knife": "knives",
    "wolf": "wolves", "thief": "thieves", "leaf": "leaves", "loaf": "loaves", "calf": "calves", "shelf": "shelves",
    "elf": "elves", "half": "halves", "fairy": "fairies",
}  # fmt: skip
PEOPLE = listed(
    "man woman child boy girl gentleman gentlewoman kinsman nobleman king queen prince princess lord lady duke knight "
    "soldier sailor captain servant master mistress maid mother father sister brother son daughter uncle aunt cousin "
    "friend enemy foe neighbour neighbor stranger traitor tyrant murderer villain slave fool beggar thief widow wife "
    "husband lover friar priest messenger officer citizen senator tribune gaoler shepherd witch wizard fairy giant "
    "pirate doctor teacher student guard nurse baby horse dog cat lion wolf bird crow mouse monkey tiger bear "
    "rabbit animal creature beast scholar tailor merchant hunter player singer visitor general farmer"
)
SINGULAR = listed("a an every each another this one")
PLURAL = listed("these those many few several two three four")
# After a noun, not after an adjective: "the old." is rare, "the old man" is not.
CLOSERS = listed(". , ; : ! ? and of that who which is was are were has had have in on to with for from at")
NO_NOUN = listed(
    "one two three four five six seven eight nine ten hundred thousand dozen other another first second many few "
    "little more most much less thing something nothing people as so such all both none half own same last next good "
    "better best worse right left late back out up down over under there here then when while thus ye thee thou "
    "brave kind million pair art blood rage"
)
SUBJECTS = listed("he she it who")
AUXILIARIES = listed("to will shall can must would could should may might")
REFLEXIVES = listed("himself herself themselves")
PASTS = listed("saw found told threw hid kept hurt lost held felt flung taught bore drew")
OBJECTS = ("him", "it", "them", "her")
# No regular present tense, a past equal to the bare form, or a poor verb alone.
NO_VERB = listed(
    "be have do go say wi wa i ha put cut let set hit hurt shut cast cost burst read spread beat bid quit split shed "
    "thrust rid wed fit need dare ought use like that other this thing his her "
    "chance cheque term issue boot sue long rain get"  # nouns, mostly, or nothing without more words
)
ADJECTIVES = listed(
    "good great old young little poor fair sweet brave noble rich sad happy wise strong dear bad big small tall "
    "gentle true false proud quiet angry glad sick weak pretty beautiful ugly wicked foolish cruel honest cold warm "
    "hot kind sorry tired hungry afraid lonely clever careful curious strange"
)


class Forms(NamedTuple):
    """A noun (singular, plural) or a verb (third person, other persons), and how often the two stand in the text."""

    one: str
    many: str
    often: int


class Words:
    """The words of a text, in small letters, and the company they keep.

    Args:
        text: Any text; English, or little is found.
        min_count: How often each form must stand in it.
    """

    def __init__(self, text: str, min_count: int = 2) -> None:
        raw = TOKEN.findall(text)
        tokens = [token.lower() for token in raw]
        self.counts = Counter(tokens)
        self.capitals = Counter(token.lower() for token in raw if token[0].isupper())
        self.pairs = Counter(pairwise(tokens))
        self.closed = Counter(
            (a, b) for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False) if c in CLOSERS
        )  # pairs that something follows which ends a noun's group
        self.min_count = min_count

    def knows(self, text: str) -> bool:
        """Whether all words of a text stand in the corpus."""
        return all(token.lower() in self.counts for token in TOKEN.findall(text))

    def common(self, word: str) -> bool:
        """Whether a word is frequent enough, and no name."""
        return self.counts[word] >= self.min_count and self.capitals[word] * 2 < self.counts[word] and word.isalpha()

    def nouns(self) -> list[Forms]:
        """Nouns that stand in both numbers: each after a determiner of its number, at the end of a noun's group."""
        found = []
        for word in sorted(self.counts):
            other = plural(word)
            if word in NO_NOUN or other in NO_NOUN or word.endswith("ss") or len(word) < 3:
                continue
            if not (self.common(word) and self.common(other)):
                continue
            if self.after(SINGULAR, word) >= 2 and self.after([*PLURAL, "the", "my", "his", "their", "your"], other):
                found.append(Forms(word, other, self.counts[word] + self.counts[other]))
        return found

    def after(self, before: Iterable[str], word: str) -> int:
        """How often a word stands after one of some, and at the end of a noun's group."""
        return sum(self.closed[one, word] for one in before)

    def people(self) -> list[Forms]:
        """Those nouns that are people or animals, and so do things."""
        return [noun for noun in self.nouns() if noun.one in PEOPLE]

    def verbs(self) -> list[Forms]:
        """Regular verbs in the present: the form in -s after he, she, it or who, the bare one after to, will, shall."""
        found = []
        for word in sorted(self.counts):
            other = third_person(word)
            if word in NO_VERB or word.endswith(("s", "ed", "ing", "th")) or len(word) < 3:
                continue
            if not (self.common(word) and self.common(other)):
                continue
            bare = sum(self.pairs[one, word] for one in AUXILIARIES)
            if bare >= 2 and any(self.pairs[one, other] for one in SUBJECTS):
                found.append(Forms(other, word, self.counts[word] + self.counts[other]))
        return found

    def stands_alone(self, verb: Forms) -> bool:
        """Whether a clause often enough ends with the verb."""
        return sum(self.pairs[form, end] for form in verb[:2] for end in ".,;:!?") >= 2

    def object_of(self, verb: Forms) -> str | None:
        """The pronoun that most often follows a verb, if one follows at least a tenth of the time."""
        best = max(OBJECTS, key=lambda one: self.pairs[verb.many, one] + self.pairs[verb.one, one])
        together = self.pairs[verb.many, best] + self.pairs[verb.one, best]
        return best if together * 10 >= verb.often else None

    def adjectives(self) -> list[str]:
        """Adjectives of a short list that stand in the text."""
        return sorted(word for word in ADJECTIVES if self.counts[word] >= self.min_count)

    def reflexive_pasts(self) -> list[str]:
        """Verbs in the past that stand before himself, herself or themselves: in -ed, or of a short list."""
        found = {verb for verb, form in self.pairs if form in REFLEXIVES and (verb.endswith("ed") or verb in PASTS)}
        return sorted(verb for verb in found if self.common(verb))

    def names(self, given: Iterable[str]) -> list[str]:
        """Those of some names or words that stand in the text, in capitals if they are names."""
        return [
            name
            for name in sorted(given)
            if self.counts[name.lower()] >= self.min_count
            and (name.islower() or self.capitals[name.lower()] * 10 >= self.counts[name.lower()] * 9)
        ]


def plural(noun: str) -> str:
    """A noun's plural, by rule or from the short list."""
    return IRREGULAR.get(noun) or with_s(noun)


def third_person(verb: str) -> str:
    """The form after "he" of a verb in the present, by rule."""
    return f"{verb}es" if verb.endswith("o") else with_s(verb)


def with_s(word: str) -> str:
    """A word with -s, as its end asks: kings, churches, ladies, boys."""
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"
