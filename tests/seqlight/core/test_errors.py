"""Errors as parts of messages."""

import pytest

from seqlight.core.errors import reason_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("no\n  such   host."), "no such host"),
        (EOFError(), "EOFError"),
        (RuntimeError("x" * 400), "x" * 200),
    ],
)
def test_an_error_is_a_part_of_a_line(error: Exception, said: str) -> None:
    assert reason_of(error) == said
    assert reason_of(error, most=3) == said[:3]
