"""Lower case and stripped punctuation: the same change for every text that a tokenizer reads."""

import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.tokenizers import ByteTokenizer, CharTokenizer, WordLineTokenizer, from_state, normalized
from datamodules.tokenizers.normalized import NormalizedTokenizer, normalized_text
from seqlight.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "lower", "strip", "expected"),
    [
        ("Don't go, Well-Known MAN!\n", True, False, "don't go, well-known man!\n"),
        ("Don't go, Well-Known MAN!\n", False, True, "Dont go Well Known MAN\n"),
        ("Don\u2019t go \u2014 she said \u00abno\u00bb \u2026\nNow.", True, True, "dont go she said no\nnow "),
        ("  a +  b = $3.50  \n\n(c)", True, True, " a b 3 50\n\n c "),
        ("\u00c9T\u00c9 \u0130 \u4f60\u597d\uff01", True, True, "\u00e9t\u00e9 i\u0307 \u4f60\u597d "),
        ("!?", True, True, " "),
    ],
)
def test_texts_are_changed_as_said(text: str, lower: bool, strip: bool, expected: str) -> None:
    assert normalized_text(text, lower, strip) == expected


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aB'-_ \n\u2019"))))
def test_no_punctuation_is_left_and_nothing_changes_twice(text: str) -> None:
    changed = normalized_text(text, True, True)
    assert not any(unicodedata.category(c).startswith("P") or c in string.punctuation for c in changed)
    assert normalized_text(changed, True, True) == changed
    assert changed.count("\n") == text.count("\n")
    lines = text.splitlines(keepends=True) if "\r" not in text else [text]
    if all(line.endswith("\n") for line in lines[:-1]):
        assert "".join(normalized_text(line, True, True) for line in lines) == changed


def test_every_text_is_read_changed_and_the_state_says_how() -> None:
    words = normalized(WordLineTokenizer.train(["dont go\n"], 10), True, True)
    assert words.encode("DON'T go!\n") == words.encode("dont go\n")
    assert words.characters[words.encode("DON'T go!\n")].sum() == len("dont go\n")
    assert words.continuation("Don't", words.encode("Go")) == " go"
    again = from_state(words.state())
    assert isinstance(again, NormalizedTokenizer)
    assert again.fingerprint == words.fingerprint
    assert again.encode("Don't Go") == words.encode("dont go")


def test_a_tokenizer_is_wrapped_once() -> None:
    plain = CharTokenizer("abc")
    assert normalized(plain, False, False) is plain
    lower = normalized(plain, True, False)
    assert normalized(lower, True, False) is lower
    assert normalized(lower, False, False) is lower
    both = normalized(lower, False, True)
    assert isinstance(both, NormalizedTokenizer)
    assert both.tokenizer is plain
    assert both.fingerprint not in (lower.fingerprint, plain.fingerprint)


def test_a_state_that_holds_itself_is_refused() -> None:
    state = normalized(ByteTokenizer(), True, False).state()
    state["tokenizer"] = state
    with pytest.raises(UserError, match="kind 'normalized' is not known"):
        from_state(state)
