"""Encodings are recognised by their marks, and UTF-16 without one too."""

import pytest

from seqlight.core.encodings import HEAD, decoded, encoding_of, known_encoding, lines_of
from seqlight.core.errors import UserError

TEXT = "caf\xe9, \u20ac 5\nsecond line\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("expected", ["utf-8", "latin-1"])
def test_a_text_in_any_unicode(encoding: str, expected: str) -> None:
    if (encoding, expected) != ("utf-8", "latin-1"):
        assert decoded(TEXT.encode(encoding), expected) == TEXT


def test_marks_are_left_out_whatever_was_expected() -> None:
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        assert decoded(("\ufeff" + TEXT).encode(encoding), "utf-16-le") == TEXT


@pytest.mark.parametrize("content", [b"", b"a", b"ab", bytes(range(256)) * 4, b"\0" * 64, b"plain text"])
def test_what_is_no_unicode_is_read_as_expected(content: bytes) -> None:
    assert encoding_of(content[:HEAD], "latin-1") == "latin-1"


def test_encodings_have_names() -> None:
    assert known_encoding("UTF8") == "utf-8"
    for name in ("klingon", "base64", ""):
        with pytest.raises(UserError, match=r"text\.encoding .* is not known"):
            known_encoding(name)


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", []), ("a", ["a"]), ("a\n", ["a"]), ("a\r\n\r\nb", ["a", "", "b"]), ("a\rb\r", ["a", "b"]),
     ("a\u2028b\x85c\n", ["a\u2028b\x85c"])],
)  # fmt: skip
def test_line_ends_of_three_systems(text: str, lines: list[str]) -> None:
    assert list(lines_of(text)) == lines
