"""The generated sentences: the same in every run, ambiguous words, words that training does not have."""

from collections import defaultdict

from datamodules.tagging.conll_files import parse_conll
from datamodules.tagging.grammar import TEST_SIZE, TRAIN_SIZE, generated_lines
from datamodules.tagging.groups import ColumnConfig
from seqlight.core.spans import first_fault, is_bio


def test_the_parts_are_fixed_and_apart() -> None:
    train, test = (parse_conll(generated_lines(part), part, ColumnConfig(label=2)) for part in ("train", "test"))
    assert [len(train), len(test)] == [TRAIN_SIZE, TEST_SIZE]
    assert generated_lines("test") == generated_lines("test")
    tags = defaultdict(set)
    for sentence in train:
        for word, tag in zip(sentence.words, sentence.labels, strict=True):
            tags[word].add(tag)
    assert tags["light"] == {"NOUN", "VERB", "ADJ"}
    words = [word for sentence in test for word in sentence.words]
    assert 0.1 < sum(word not in tags for word in words) / len(words) < 0.2


def test_phrases_are_sound_spans() -> None:
    sentences = parse_conll(generated_lines("train"), "train", ColumnConfig())
    assert is_bio(sorted({label for sentence in sentences for label in sentence.labels}))
    assert all(first_fault(sentence.labels) is None for sentence in sentences)
