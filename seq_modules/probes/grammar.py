"""Minimal pairs of grammar: agreement, reflexives and word order, from templates filled with the words of a text.

The two sentences of a pair differ in one word, or in the order of their words. Where they differ in a word, half of the
pairs exchange it in one direction and half in the other ("this king" against "these king", "these kings" against "this
kings"), so that word frequency alone gives an accuracy of one half.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from typing import Any

from seq_modules.probes.pairs import Pair, distinct
from seq_modules.probes.words import Forms, Words, word_set
from seqlight.core.hyperparameters import check_range

BEFORE_NOUN = "he spoke of|she thought of|they looked at|we talked of|he came with|i heard of|they sat by|we ran from"
SAW = "he saw|she found|they took|we have|i know|he made|they left|she knew"
TAILS = "here|there|gone|ready|in the house|not here|still there|very good|all alone|away"
HAVE_TAILS = "gone|come back|seen it|found the way|no time|a good heart|been here|two hands"
MEN = word_set(
    "man boy king prince lord father brother son uncle husband gentleman duke wizard Peter John Richard Henry Edward "
    "George William Romeo Thomas James Charles Clarence"
)
WOMEN = word_set(
    "woman girl queen princess lady mother sister daughter aunt wife witch Alice Dorothy Wendy Juliet Margaret Mary "
    "Elizabeth Katharina Bianca Anne Jane Isabella"
)
PRONOUNS = {"he": 0, "she": 0, "it": 0, "they": 1, "we": 1, "you": 1, "i": 1}  # 0: with a verb in -s
PREPOSITION_FRAMES = (
    "he spoke of|she came from|they looked at|we stood by|he went to|they ran to|i thought of|she sat on"
)

Template = Callable[[Words, random.Random], Iterator[tuple[str, str, str]]]  # good, bad, tested word


def make_grammar(text: str, per_kind: int = 500, seed: int = 0) -> list[Pair]:
    """Pairs of all kinds, as the suite "grammar".

    Args:
        text: The training text; every word of a pair occurs in it.
        per_kind: Pairs of each kind, at least 1; fewer if the text has too few words.
        seed: Seed of the random choices.

    Raises:
        UserError: ``per_kind`` is below 1.
    """
    check_range("per_kind", per_kind, least=1)
    words = Words(text)
    found = []
    for kind, make in KINDS.items():
        generator = random.Random(f"grammar {kind} {seed}")
        pairs = (
            Pair(sentence(good), sentence(bad), "grammar", kind, word, words.counts[word.lower()])
            for good, bad, word in islice(make(words, generator), 30 * per_kind)
            if words.has_all(f"{good} {bad}")
        )
        found += distinct(pairs, per_kind)
    return found


def sentence(words: str) -> str:
    """The words as a sentence: capitalised, with a full stop."""
    words = " ".join("I" if word == "i" else word for word in words.split())
    return f"{words[0].upper()}{words[1:]}."


def choices(generator: random.Random, *lists: Sequence[Any]) -> Iterator[list[Any]]:
    """Endless random choices, one from each list; none if a list is empty."""
    while all(lists):
        yield [generator.choice(some) for some in lists]


def determiner(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """Of this king / of these king; of these kings / of this kings."""
    numbers = cycle((0, 1))
    for before, noun, form in choices(
        generator, BEFORE_NOUN.split("|"), words.nouns(), [["this", "these"], ["that", "those"]]
    ):
        number = next(numbers)
        yield f"{before} {form[number]} {noun[number]}", f"{before} {form[1 - number]} {noun[number]}", noun.one


def quantifier(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """Every king / every kings; many kings / many king."""
    amounts = (["every", "each", "another", "one"], ["many", "several", "two", "three", "four", "few"])
    numbers = cycle((0, 1))
    for before, noun in choices(generator, SAW.split("|"), words.nouns()):
        number = next(numbers)
        start = f"{before} {generator.choice(amounts[number])}"
        yield f"{start} {noun[number]}", f"{start} {noun[1 - number]}", noun.one


def noun_verb(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """The king knows / the king know; the kings know / the kings knows."""
    numbers = cycle((0, 1))
    for article, noun, verb in choices(generator, ["the", "my", "our", "his"], words.people(), clauses(words)):
        number = next(numbers)
        tail = after_verb(words, verb)
        start = f"{article} {noun[number]}"
        yield f"{start} {verb[number]}{tail}", f"{start} {verb[1 - number]}{tail}", verb.many


def pronoun_verb(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """He knows / he know; they know / they knows."""
    singular, plural = (sorted(one for one in PRONOUNS if PRONOUNS[one] == number) for number in (0, 1))
    numbers = cycle((0, 1))
    for verb, tail in choices(generator, clauses(words), ["", "", "now", "too", "again"]):
        number = next(numbers)
        start = generator.choice((singular, plural)[number])
        end = after_verb(words, verb) + (f" {tail}" if tail else "")
        yield f"{start} {verb[number]}{end}", f"{start} {verb[1 - number]}{end}", verb.many


def be(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """The king is here / the king are here, present and past."""
    yield from with_forms(words, generator, [["is", "are"], ["was", "were"]], TAILS.split("|"))


def have(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """The king has gone / the king have gone."""
    yield from with_forms(words, generator, [["has", "have"]], HAVE_TAILS.split("|"))


def with_forms(
    words: Words, generator: random.Random, verbs: list[list[str]], tails: list[str]
) -> Iterator[tuple[str, str, str]]:
    """A noun in either number, with the matching form of a verb and with the other."""
    numbers = cycle((0, 1))
    for article, noun, verb, tail in choices(generator, ["the", "my", "our", "his"], words.people(), verbs, tails):
        number = next(numbers)
        start = f"{article} {noun[number]}"
        yield f"{start} {verb[number]} {tail}", f"{start} {verb[1 - number]} {tail}", noun.one


def reflexive_gender(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """The boy hid himself / the boy hid herself; Alice hid herself / Alice hid himself."""
    people = (["he", *words.names(MEN)], ["she", *words.names(WOMEN)])
    forms = ("himself", "herself")
    numbers = cycle((0, 1))
    for verb, tail in choices(generator, words.reflexive_pasts(), ["", "", "again", "there"]):
        number = next(numbers)
        start = f"{named(generator.choice(people[number]))} {verb}"
        yield f"{start} {forms[number]} {tail}".strip(), f"{start} {forms[1 - number]} {tail}".strip(), verb


def reflexive_number(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """The boys hid themselves / the boys hid himself; the boy hid himself / the boy hid themselves."""
    people = [noun for noun in words.people() if noun.one in MEN or noun.one in WOMEN]
    pronouns = [Forms("he", "they", 0), Forms("she", "they", 0)]
    numbers = cycle((0, 1))
    for verb, noun, tail in choices(
        generator, words.reflexive_pasts(), [*people, *pronouns], ["", "", "again", "there"]
    ):
        number = next(numbers)
        one = "herself" if noun.one in WOMEN or noun.one == "she" else "himself"
        forms = (one, "themselves")
        start = f"{named(noun[number])} {verb}"
        yield f"{start} {forms[number]} {tail}".strip(), f"{start} {forms[1 - number]} {tail}".strip(), verb


def named(subject: str) -> str:
    """A subject, with an article unless it is a pronoun or a name."""
    return subject if subject in PRONOUNS or subject[0].isupper() else f"the {subject}"


def order_preposition(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """He spoke of the king / he spoke the of king."""
    for frame, article, noun in choices(
        generator, PREPOSITION_FRAMES.split("|"), ["the", "my", "a", "our"], words.nouns()
    ):
        start, _, preposition = frame.rpartition(" ")
        form = noun.one if article == "a" else noun[generator.randrange(2)]
        article = "an" if article == "a" and form[0] in "aeiou" else article
        yield f"{start} {preposition} {article} {form}", f"{start} {article} {preposition} {form}", noun.one


def order_article(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """They took the crown / they took crown the."""
    for start, article, noun in choices(generator, SAW.split("|"), ["the", "my", "our", "every"], words.nouns()):
        form = noun.one if article == "every" else noun[generator.randrange(2)]
        yield f"{start} {article} {form}", f"{start} {form} {article}", noun.one


def order_adjective(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """He spoke of the old man / he spoke of the man old. Not after "made": "he made the man old" is correct."""
    before_nouns = [
        one for one in words.adjectives() if any(words.pairs[article, one] for article in ("the", "a", "an"))
    ]
    for start, article, adjective, noun in choices(
        generator, BEFORE_NOUN.split("|"), ["the", "my", "this"], before_nouns, words.people()
    ):
        yield f"{start} {article} {adjective} {noun.one}", f"{start} {article} {noun.one} {adjective}", adjective


def order_degree(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """The man was very old / the man was old very."""
    for noun, verb, adverb, adjective in choices(
        generator, words.people(), ["is", "was"], ["very", "quite", "rather"], words.adjectives()
    ):
        start = f"the {noun.one} {verb}"
        yield f"{start} {adverb} {adjective}", f"{start} {adjective} {adverb}", adjective


def order_auxiliary(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """He must know / he know must. Not with will, can and may, which are also nouns or can come last."""
    modals = ["must", "shall", "would", "could", "should"]
    for start, modal, verb in choices(generator, sorted(PRONOUNS), modals, clauses(words)):
        end = after_verb(words, verb)
        yield f"{start} {modal} {verb.many}{end}", f"{start} {verb.many} {modal}{end}", verb.many


def order_to(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """He wanted to know / he wanted know to."""
    starts = [f"{one} {verb}" for one in sorted(PRONOUNS) for verb in ("wanted", "began", "hoped", "meant", "tried")]
    for start, verb in choices(generator, starts, clauses(words)):
        end = after_verb(words, verb)
        yield f"{start} to {verb.many}{end}", f"{start} {verb.many} to{end}", verb.many


def order_negation(words: Words, generator: random.Random) -> Iterator[tuple[str, str, str]]:
    """He did not know / he not did know."""
    for start, did, verb in choices(generator, sorted(PRONOUNS), ["did", "would", "could"], clauses(words)):
        end = after_verb(words, verb)
        yield f"{start} {did} not {verb.many}{end}", f"{start} not {did} {verb.many}{end}", verb.many


def clauses(words: Words) -> list[Forms]:
    """Verbs that can be a whole predicate, alone or with a pronoun as object."""
    return [verb for verb in words.verbs() if words.object_of(verb) or words.is_intransitive(verb)]


def after_verb(words: Words, verb: Forms) -> str:
    """A space and the verb's usual object; empty without one."""
    pronoun = words.object_of(verb)
    return f" {pronoun}" if pronoun else ""


KINDS: dict[str, Template] = {
    "agreement_determiner": determiner,
    "agreement_quantifier": quantifier,
    "agreement_verb": noun_verb,
    "agreement_pronoun": pronoun_verb,
    "agreement_be": be,
    "agreement_have": have,
    "reflexive_gender": reflexive_gender,
    "reflexive_number": reflexive_number,
    "order_preposition": order_preposition,
    "order_article": order_article,
    "order_adjective": order_adjective,
    "order_degree": order_degree,
    "order_auxiliary": order_auxiliary,
    "order_to": order_to,
    "order_negation": order_negation,
}
