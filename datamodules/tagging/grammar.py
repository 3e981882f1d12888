"""Sentences of a small grammar with two labels a word, so that recipes run without a download.

Columns: the word, its part of speech (the universal ones) and its phrase in the BIO scheme (NP, VP, PP, ADVP). Many
words are of two kinds, as "light" is, and only their neighbours tell of which. Others are invented, and their endings
tell: the test has words that training never shows. Scores on these sentences show that a system works, not how good it
is.
"""

import re
from collections.abc import Iterator

import numpy as np

from datamodules.loading.counter_rng import random_uint64

TRAIN_SIZE, VAL_SIZE, TEST_SIZE = 800, 100, 200
SEED = 2**40 + 8  # larger than any seed of a run
DRAWS = 128  # of a sentence, more than any needs
MAX_PHRASES = 2  # that are nested in each other

# Of each kind its words; "+" marks one ending of invented words.
KINDS = {
    kind: words.split()
    for kind, words in {
        "DET": "the a this every some no",
        "NOUN": "light watch play walk cook garden river +tion +ness +er",
        "VERB": "light watch play walk cook sees finds +ifies +ates",
        "PAST": "saw left found lit +ified +ated",
        "ADJ": "light left open cold old +ous +ful",
        "ADV": "well here often open +ously +fully",
        "ADP": "in on near by like over",
        "PRON": "she it they nobody",
        "PROPN": "Rose Will Mark +ia +burg",
        "NUM": "two three 7 1984",
        "AUX": "can will must might",
        "CCONJ": "and or but",
        "PUNCT": ". ! ;",
    }.items()
}
TAGS = {kind: "VERB" if kind == "PAST" else kind for kind in KINDS}
# A rule is a phrase, or "-" for none, and the kinds and rules (small letters) that it is made of.
RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        ("NP", "DET NOUN"), ("NP", "DET ADJ NOUN"), ("NP", "PROPN"), ("NP", "PRON"), ("NP", "NUM NOUN"),
        ("NP", "DET ADJ ADJ NOUN"), ("-", "noun place"),
    ),
    "place": (("-", "at noun"),),
    "at": (("PP", "ADP"),),
    "verb": (("VP", "VERB"), ("VP", "PAST"), ("VP", "AUX VERB")),
    "manner": (("ADVP", "ADV"),),
    "act": (("-", "verb noun"), ("-", "verb"), ("-", "verb manner"), ("-", "verb place"), ("-", "verb noun place")),
    "clause": (("-", "noun act"), ("-", "manner noun act")),
    "sentence": (("-", "clause PUNCT"), ("-", "clause CCONJ clause PUNCT")),
}  # fmt: skip
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def generated_lines(part: str) -> list[str]:
    """The lines of "train", "val" or "test": word, part of speech, phrase; after each sentence an empty line."""
    first = {"train": 0, "val": TRAIN_SIZE, "test": TRAIN_SIZE + VAL_SIZE}[part]
    size = {"train": TRAIN_SIZE, "val": VAL_SIZE, "test": TEST_SIZE}[part]
    lines: list[str] = []
    for row in range(first, first + size):
        draws = iter(random_uint64(SEED, np.array([row]), DRAWS)[0].tolist())
        lines += [*("\t".join(cells) for cells in _expand("sentence", draws, 0)), ""]
    return lines


def _expand(rule: str, draws: Iterator[int], depth: int) -> list[tuple[str, str, str]]:
    """The words that a rule makes, each with its part of speech and its phrase."""
    choices = RULES[rule]
    if depth > MAX_PHRASES:  # no rule that contains itself
        choices = tuple(choice for choice in choices if rule not in choice[1].split())
    phrase, parts = choices[next(draws) % len(choices)]
    made: list[tuple[str, str, str]] = []
    for number, part in enumerate(parts.split()):
        if part in RULES:
            made += _expand(part, draws, depth + (rule == "noun"))
        else:
            label = "O" if phrase == "-" else f"{'B' if number == 0 else 'I'}-{phrase}"
            made.append((_word(part, draws), TAGS[part], label))
    return made


def _word(kind: str, draws: Iterator[int]) -> str:
    """A word of a kind, listed or invented."""
    choices = KINDS[kind]
    word = choices[next(draws) % len(choices)]
    if not word.startswith("+"):
        return word
    number, stem = next(draws), ""
    for _ in range(2):
        stem += CONSONANTS[number % 14] + VOWELS[number // 14 % 5]
        number //= 70
    stem = re.sub(r"[aeiou]$", "", stem) + word.removeprefix("+")
    return stem.capitalize() if kind == "PROPN" else stem
