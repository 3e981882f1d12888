"""Words that look like something else are words again when they are read."""

import pytest
import yaml
from jsonargparse import get_loader

from seqlight.command import parser  # noqa: F401  registers the reader
from seqlight.core.yaml_text import yaml_text

WORDS = ["1e3", "12e4567", "inf", ".inf", "nan", "null", "~", "true", "yes", "0x10", "1_000", "2024-01-01", "12:30",
         "1.", ".5", "#x", "a: b", "- x", "[a]", "{a}", "", " ", "\u2028", "\U0001F600", "caf\xe9", "=",
         "1e-3", "-.5e2"]  # fmt: skip


@pytest.mark.parametrize("one_line", [False, True])
def test_words_stay_words_and_numbers_numbers(one_line: bool) -> None:
    value = {
        "words": WORDS,
        "number": 1e-3,
        "whole": 5,
        "none": None,
        "no": False,
        "nested": dict.fromkeys(WORDS, 1),
    }
    text = yaml_text(value, one_line)
    assert get_loader("yaml")(text) == yaml.safe_load(text) == value
    assert not one_line or "\n" not in text


def test_names_of_files_that_are_no_utf_8_come_back() -> None:
    value = {"path": "b\udcfccher/caf\udce9.txt", "stop": ["1e3", "2024-01-01"], "rate": 1e-3}
    assert get_loader("yaml")(yaml_text(value)) == get_loader("yaml")(yaml_text(value, one_line=True)) == value


@pytest.mark.parametrize("word", ["#x", "~", "- x", "&x", "x"])
def test_a_word_alone_is_no_comment_and_no_list(word: str) -> None:
    assert get_loader("yaml")(word) == word
    assert get_loader("yaml")("null") is None
    assert get_loader("yaml")("[1, 2]") == [1, 2]
    assert get_loader("yaml")("a: 1\n") == {"a": 1}
