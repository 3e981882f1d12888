"""Synthetic reviews, positive and negative, so that recipes run without a download.

A review is a few template sentences with words of praise or blame, some of them negated. These reviews are much easier
than real ones. A score on them shows that a system works, not how good it is.
"""

import re

import numpy as np

from datamodules.classification.examples import Examples
from datamodules.loading.counter_rng import random_uint64

CLASSES = ["neg", "pos"]
TRAIN_SIZE, TEST_SIZE = 1000, 400
SEED = 2**40 + 6  # larger than any seed of a run

WORDS = {
    name: words.split(", ")
    for name, words in {
        "{thing}": "the film, the plot, the cast, the music, the ending, the dialogue, the camera work, "
        "the first half, every scene, the leading actor, the script, the whole story, the editing, the humor, "
        "the villain, the opening",
        "{good}": "wonderful, moving, brilliant, charming, fresh, gripping, funny, beautiful, clever, superb, warm, "
        "honest, thrilling, perfect, delightful, inspired",
        "{bad}": "dull, clumsy, boring, lifeless, tired, predictable, annoying, ugly, stupid, awful, cold, fake, "
        "tedious, messy, painful, uninspired",
    }.items()
}
PRAISE = [
    "{thing} is {good}",
    "{thing} was simply {good} and never {bad}",
    "i found {thing} {good}",
    "{thing} is anything but {bad}",
    "{thing} was not {bad} at all",
    "how {good} {thing} is !",
    "rarely have i seen something so {good}",
    "nobody could call {thing} {bad}",
    "you will leave the theater happy",
    "i would gladly see it again",
]
SWAP = {"{good}": "{bad}", "{bad}": "{good}"}
BLAME = [
    *(re.sub(r"{good}|{bad}", lambda found: SWAP[found[0]], sentence) for sentence in PRAISE[:8]),
    "you will leave the theater early",
    "i want my money back",
]
NEUTRAL = [
    "we saw it on a sunday evening",
    "it runs for two hours",
    "the story begins in a small town",
    "it is based on a novel",
    "the director has made three films before",
    "most of it plays at night",
]


def synthetic_reviews() -> tuple[Examples, Examples]:
    """1,000 training and 400 test reviews, half of them of each class. They are the same in every run."""
    reviews = [_review(row) for row in range(TRAIN_SIZE + TEST_SIZE)]
    labels = [row % 2 for row in range(TRAIN_SIZE + TEST_SIZE)]
    return (
        Examples.of(reviews[:TRAIN_SIZE], labels[:TRAIN_SIZE]),
        Examples.of(reviews[TRAIN_SIZE:], labels[TRAIN_SIZE:]),
    )


def _review(row: int) -> str:
    """The review with a number: positive if it is odd. Some reviews also have one sentence of the other class."""
    words = iter(random_uint64(SEED, np.array([row]), 64)[0].tolist())

    def choose(choices: list[str]) -> str:
        return choices[next(words) % len(choices)]

    own, other = (PRAISE, BLAME) if row % 2 else (BLAME, PRAISE)
    count = 1 + next(words) % 3
    kinds = [own] * (count + 1) + [NEUTRAL] * (next(words) % 3) + [other] * (next(words) % 2 if count > 1 else 0)
    order = sorted(range(len(kinds)), key=lambda _: next(words))
    sentences = []
    for kind in (kinds[at] for at in order):
        sentence = choose(kind)
        for slot, choices in WORDS.items():
            sentence = sentence.replace(slot, choose(choices))
        sentences.append(sentence if sentence.endswith("!") else f"{sentence} .")
    return " ".join(sentences)
