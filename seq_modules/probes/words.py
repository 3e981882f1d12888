"""Parts of speech of a text's words, by the words around them: nouns in both numbers, verbs in both forms, adjectives.

English, without a tagger or a dictionary. A word is a noun if it occurs where nouns do, after a determiner and at the
end of a noun group. Spelling rules give the other form, and both forms must occur in the text. Short lists cover
irregular words and exceptions.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[.,;:!?]")


def word_set(words: str) -> frozenset[str]:
    """A set of the words of a line."""
    return frozenset(words.split())


IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "gentleman": "gentlemen", "gentlewoman": "gentlewomen",
    "kinsman": "kinsmen", "nobleman": "noblemen", "countryman": "countrymen", "foot": "feet", "tooth": "teeth",
    "goose": "geese", "mouse": "mice", "ox": "oxen", "wife": "wives", "life": "lives", "knife": "knives",
    "wolf": "wolves", "thief": "thieves", "leaf": "leaves", "loaf": "loaves", "calf": "calves", "shelf": "shelves",
    "elf": "elves", "half": "halves", "fairy": "fairies",
}  # fmt: skip
PEOPLE = word_set(
    "man woman child boy girl gentleman gentlewoman kinsman nobleman king queen prince princess lord lady duke knight "
    "soldier sailor captain servant master mistress maid mother father sister brother son daughter uncle aunt cousin "
    "friend enemy foe neighbour neighbor stranger traitor tyrant murderer villain slave fool beggar thief widow wife "
    "husband lover friar priest messenger officer citizen senator tribune gaoler shepherd witch wizard fairy giant "
    "pirate doctor teacher student guard nurse baby horse dog cat lion wolf bird crow mouse monkey tiger bear "
    "rabbit animal creature beast scholar tailor merchant hunter player singer visitor general farmer"
)
SINGULAR = word_set("a an every each another this one")
PLURAL = word_set("these those many few several two three four")
# These follow a noun but rarely an adjective: "the man." is common, "the old." is not.
CLOSERS = word_set(". , ; : ! ? and of that who which is was are were has had have in on to with for from at")
NO_NOUN = word_set(
    "one two three four five six seven eight nine ten hundred thousand dozen other another first second many few "
    "little more most much less thing something nothing people as so such all both none half own same last next good "
    "better best worse right left late back out up down over under there here then when while thus ye thee thou "
    "brave kind million pair art blood rage"
)
SUBJECTS = word_set("he she it who")
AUXILIARIES = word_set("to will shall can must would could should may might")
REFLEXIVES = word_set("himself herself themselves")
PASTS = word_set("saw found told threw hid kept hurt lost held felt flung taught bore drew")
OBJECTS = ("him", "it", "them", "her")
# Verbs without a regular present tense, with a past equal to the bare form, or rare without a complement.
NO_VERB = word_set(
    "be have do go say wi wa i ha put cut let set hit hurt shut cast cost burst read spread beat bid quit split shed "
    "thrust rid wed fit need dare ought use like that other this thing his her "
    "chance cheque term issue boot sue long rain get"  # mostly nouns, or incomplete without more words
)
ADJECTIVES = word_set(
    "good great old young little poor fair sweet brave noble rich sad happy wise strong dear bad big small tall "
    "gentle true false proud quiet angry glad sick weak pretty beautiful ugly wicked foolish cruel honest cold warm "
    "hot kind sorry tired hungry afraid lonely clever careful curious strange"
)


class Forms(NamedTuple):
    """The two forms of a word.

    Attributes:
        one: A noun's singular, or a verb's third person singular.
        many: A noun's plural, or a verb's bare form.
        total: Occurrences of both in the text.
    """

    one: str
    many: str
    total: int


class Words:
    """Counts of a text's words in lower case and of their neighbours, and the parts of speech that follow from them.

    Args:
        text: English text.
        min_count: Least number of occurrences of each form of a word.
    """

    def __init__(self, text: str, min_count: int = 2) -> None:
        raw = TOKEN.findall(text)
        tokens = [token.lower() for token in raw]
        self.counts = Counter(tokens)
        self.capitals = Counter(token.lower() for token in raw if token[0].isupper())
        self.pairs = Counter(pairwise(tokens))
        self.group_ends = Counter(
            (a, b) for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False) if c in CLOSERS
        )  # pairs of words that end a noun group, by the word after them
        self.min_count = min_count

    def has_all(self, text: str) -> bool:
        """Whether all words of another text occur in this one."""
        return all(token.lower() in self.counts for token in TOKEN.findall(text))

    def is_common(self, word: str) -> bool:
        """Whether a word is frequent enough, and mostly in lower case, so no name."""
        return self.counts[word] >= self.min_count and self.capitals[word] * 2 < self.counts[word] and word.isalpha()

    def nouns(self) -> list[Forms]:
        """Nouns of which both numbers occur, each after a determiner of its number and at the end of a noun group."""
        found = []
        for word in sorted(self.counts):
            other = plural(word)
            if word in NO_NOUN or other in NO_NOUN or word.endswith("ss") or len(word) < 3:
                continue
            if not (self.is_common(word) and self.is_common(other)):
                continue
            if self.count_after(SINGULAR, word) >= 2 and self.count_after(
                [*PLURAL, "the", "my", "his", "their", "your"], other
            ):
                found.append(Forms(word, other, self.counts[word] + self.counts[other]))
        return found

    def count_after(self, before: Iterable[str], word: str) -> int:
        """How often a word occurs after one of the words ``before`` and at the end of a noun group."""
        return sum(self.group_ends[one, word] for one in before)

    def people(self) -> list[Forms]:
        """Nouns for people and animals, which can be subjects of most verbs."""
        return [noun for noun in self.nouns() if noun.one in PEOPLE]

    def verbs(self) -> list[Forms]:
        """Regular verbs: the form in -s occurs after he, she, it or who, the bare form after auxiliaries or "to"."""
        found = []
        for word in sorted(self.counts):
            other = third_person(word)
            if word in NO_VERB or word.endswith(("s", "ed", "ing", "th")) or len(word) < 3:
                continue
            if not (self.is_common(word) and self.is_common(other)):
                continue
            bare = sum(self.pairs[one, word] for one in AUXILIARIES)
            if bare >= 2 and any(self.pairs[one, other] for one in SUBJECTS):
                found.append(Forms(other, word, self.counts[word] + self.counts[other]))
        return found

    def is_intransitive(self, verb: Forms) -> bool:
        """Whether clauses end with the verb, at least twice."""
        return sum(self.pairs[form, end] for form in verb[:2] for end in ".,;:!?") >= 2

    def object_of(self, verb: Forms) -> str | None:
        """The pronoun that follows the verb most often, if it follows at least a tenth of the verb's occurrences."""
        best = max(OBJECTS, key=lambda one: self.pairs[verb.many, one] + self.pairs[verb.one, one])
        together = self.pairs[verb.many, best] + self.pairs[verb.one, best]
        return best if together * 10 >= verb.total else None

    def adjectives(self) -> list[str]:
        """The adjectives of ADJECTIVES that occur in the text."""
        return sorted(word for word in ADJECTIVES if self.counts[word] >= self.min_count)

    def reflexive_pasts(self) -> list[str]:
        """Past forms before himself, herself or themselves: those in -ed and those of PASTS."""
        found = {verb for verb, form in self.pairs if form in REFLEXIVES and (verb.endswith("ed") or verb in PASTS)}
        return sorted(verb for verb in found if self.is_common(verb))

    def names(self, given: Iterable[str]) -> list[str]:
        """The given names and words that occur in the text; a name must be capitalised nine times in ten."""
        return [
            name
            for name in sorted(given)
            if self.counts[name.lower()] >= self.min_count
            and (name.islower() or self.capitals[name.lower()] * 10 >= self.counts[name.lower()] * 9)
        ]


def plural(noun: str) -> str:
    """A noun's plural, by rule or from IRREGULAR."""
    return IRREGULAR.get(noun) or with_s(noun)


def third_person(verb: str) -> str:
    """A verb's third person singular in the present, by rule."""
    return f"{verb}es" if verb.endswith("o") else with_s(verb)


def with_s(word: str) -> str:
    """A word with its ending -s, spelled by rule: kings, churches, ladies, boys."""
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "z", "ch", "sh")) else f"{word}s"
