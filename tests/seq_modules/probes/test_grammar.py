"""Grammar pairs: morphology, what counts as a noun or a verb, and pairs that differ in one thing."""

from collections import Counter

import pytest

from seq_modules.probes.grammar import KINDS, MEN, PRONOUNS, WOMEN, make_grammar
from seq_modules.probes.words import Words, plural, third_person

NAMES = {"Peter", "Alice"}
FRAMES = """He spoke of it and she thought of it. They looked at me, we talked of them, he came with us, I heard of you.
They sat by it; we ran from them. He saw it, she found it, they took it, we have it, I know it, he made it, they left
it, she knew it. She came from there, we stood by, he went to it, they ran to it, I thought of it, she sat on it. Here,
there, gone, ready, in the house, not here, still there, very good, all alone, away, come back, seen it, found the way,
no time, a good heart, been here, two hands. This, these, that, those. My own, our own, his own, their own; again, now,
too, is, are, was, were, has, have. He wanted to do it, they began, I hoped, we meant, you tried. Must, shall, would,
could, should, did, quite, rather. Myself and himself. Every one and each one, another one; many, several, three, four,
few. """
CORPUS = 2 * (
    FRAMES
    + "".join(
        f"I saw a {one}. There was the {one}, and these {many}, and the {many} of the town. "
        for one, many in (("king", "kings"), ("man", "men"), ("lady", "ladies"), ("boy", "boys"), ("girl", "girls"),
                          ("church", "churches"), ("child", "children"))
    )
    + "".join(
        f"He {one}. She {one}. They will {many}, or want to {many}. "
        for one, many in (("sleeps", "sleep"), ("cries", "cry"), ("watches", "watch"), ("speaks", "speak"))
    )
    + "The old king hurt himself, the good girl washed herself, and the little boys hid themselves; very sad. Peter "
    "and Alice saw a young man and an old lady. Peter and Alice slept. "
)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("king", "kings"), ("church", "churches"), ("dish", "dishes"), ("box", "boxes"), ("lady", "ladies"),
        ("boy", "boys"), ("man", "men"), ("wife", "wives"), ("foot", "feet"), ("chief", "chiefs"), ("glass", "glasses"),
    ],
)  # fmt: skip
def test_plurals(one, many) -> None:
    assert plural(one) == many


@pytest.mark.parametrize(
    ("bare", "third"), [("know", "knows"), ("cry", "cries"), ("play", "plays"), ("watch", "watches"), ("go", "goes")]
)
def test_third_person(bare, third) -> None:
    assert third_person(bare) == third


def test_words_are_known_by_their_company() -> None:
    words = Words(CORPUS)
    nouns = {(noun.one, noun.many) for noun in words.nouns()}
    assert {("king", "kings"), ("man", "men"), ("lady", "ladies"), ("church", "churches")} <= nouns
    assert "church" not in {noun.one for noun in words.people()}
    assert {verb[:2] for verb in words.verbs()} >= {("sleeps", "sleep"), ("cries", "cry"), ("watches", "watch")}
    assert not {noun.one for noun in words.nouns()} & {"sleep", "old", "very", "it", "peter"}
    assert not {verb.many for verb in words.verbs()} & {"king", "church", "boy"}
    assert words.reflexive_pasts() == ["hid", "hurt", "washed"]
    assert words.names(MEN | WOMEN | {"Xaver"}) == ["Alice", "Peter", "boy", "girl", "king", "lady", "man"]


def test_a_name_is_no_noun_and_a_verb_with_its_object_says_so() -> None:
    words = Words(3 * "I saw a Peter, the Peters. He kills him. They will kill him. He sleeps. I will sleep. ")
    assert not words.nouns()
    kill, sleep = words.verbs()
    assert (words.object_of(kill), words.object_of(sleep)) == ("him", None)
    assert (words.is_intransitive(kill), words.is_intransitive(sleep)) == (False, True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_proper_pairs(kind) -> None:
    words = Words(CORPUS)
    pairs = [pair for pair in make_grammar(CORPUS, per_kind=40) if pair.kind == kind]
    assert len(pairs) >= 10
    assert len({pair[:2] for pair in pairs}) == len(pairs)
    for pair in pairs:
        good, bad = pair.good.split(), pair.bad.split()
        assert pair.good != pair.bad
        assert len(good) == len(bad)
        assert pair.good[0].isupper()
        assert pair.good.endswith(".")
        assert words.has_all(pair.good + pair.bad)
        assert pair.frequency == words.counts[pair.word.lower()] > 0
        differing = [at for at, (one, other) in enumerate(zip(good, bad, strict=True)) if one != other]
        if kind.startswith("order"):
            assert sorted(" ".join(good).strip(".").lower().split()) == sorted(" ".join(bad).strip(".").lower().split())
            assert differing[-1] - differing[0] == 1
        else:
            assert len(differing) == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("order")])
def test_frequency_alone_wins_half(kind) -> None:
    """What one pair calls right, another calls wrong: exchanges go both ways about as often."""
    ways = Counter()
    for pair in make_grammar(CORPUS, per_kind=60):
        if pair.kind == kind:
            (change,) = {
                (one, other) for one, other in zip(pair.good.split(), pair.bad.split(), strict=True) if one != other
            }
            ways["up" if change < change[::-1] else "down"] += 1
    assert abs(ways["up"] - ways["down"]) <= 0.35 * ways.total()


def agrees(subject: str, verb: str) -> bool:
    """Whether a verb in the present, or a form of be or have, goes with a subject: by the grammar, not by our code."""
    singular = subject.lower() in ("he", "she", "it", "king", "man", "lady", "boy", "girl", "child")
    return (verb.endswith("s") and verb != "watch") == singular


@pytest.mark.parametrize("kind", ["agreement_verb", "agreement_pronoun", "agreement_be", "agreement_have"])
def test_the_good_one_agrees_and_the_bad_one_does_not(kind) -> None:
    for pair in make_grammar(CORPUS, per_kind=40):
        if pair.kind == kind:
            at = 0 if pair.good.split()[0].lower() in PRONOUNS else 1
            (subject, verb), (_, wrong) = (text.strip(".").split()[at : at + 2] for text in pair[:2])
            if verb != "were" and wrong != "were":
                assert agrees(subject, verb), pair
                assert not agrees(subject, wrong), pair
            else:
                assert (verb == "were") == (subject in ("kings", "men", "ladies", "boys", "girls", "children")), pair


def test_reflexives_go_with_their_subjects() -> None:
    for pair in make_grammar(CORPUS, per_kind=40):
        if pair.kind == "reflexive_gender":
            woman = any(word in pair.good.split() for word in ("She", "Alice", "girl", "lady"))
            assert ("herself" if woman else "himself") in pair.good
            assert ("himself" if woman else "herself") in pair.bad


def test_the_seed_decides_and_few_words_make_few_pairs() -> None:
    assert make_grammar(CORPUS, 10, seed=1) == make_grammar(CORPUS, 10, seed=1)
    assert make_grammar(CORPUS, 10, seed=1) != make_grammar(CORPUS, 10, seed=2)
    assert make_grammar("") == []
    assert make_grammar("Nur deutsche W\N{LATIN SMALL LETTER O WITH DIAERESIS}rter stehen hier.") == []
    with pytest.raises(ValueError, match=r"^per_kind must be at least 1, not 0"):
        make_grammar(CORPUS, 0)
