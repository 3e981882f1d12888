"""Steps of series for people."""

import pytest

from seqlight.core.series import step_in_words


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("3600 s", "1 hour"),
        ("900 s", "15 minutes"),
        ("90 s", "90 seconds"),
        ("604800 s", "1 week"),
        ("172800 s", "2 days"),
        ("0.5 s", "0.5 s"),
        ("3 months", "3 months"),
        ("1 row", "1 row"),
    ],
)
def test_a_step_is_told_in_the_largest_unit_that_fits(step: str, words: str) -> None:
    assert step_in_words(step) == words
