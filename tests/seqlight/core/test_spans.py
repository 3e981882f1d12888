"""Labels in the BIO scheme."""

import itertools

import pytest

from seqlight.core.spans import first_fault, is_bio, may_follow, repaired, spans_of


def test_the_scheme_is_recognised() -> None:
    assert is_bio(["O", "B-PER", "I-PER"])
    assert is_bio(["I-NP", "O"])  # IOB1
    assert not is_bio(["O"])
    assert not is_bio(["NOUN", "VERB"])
    assert not is_bio(["B-PER", "E-PER", "O"])
    assert not is_bio(["B-", "O"])


def test_faults_are_found_and_repaired_without_changing_a_span() -> None:
    labels = ["I-A", "I-A", "B-A", "O", "I-B", "I-A", "I-A"]
    assert first_fault(labels) == 0
    assert first_fault(["O", "B-A", "I-B"]) == 2
    assert repaired(labels) == ["B-A", "I-A", "B-A", "O", "B-B", "B-A", "I-A"]
    assert spans_of(labels) == [("A", 0, 2), ("A", 2, 3), ("B", 4, 5), ("A", 5, 7)]
    for some in itertools.product(["O", "B-A", "I-A", "B-B", "I-B"], repeat=4):
        mended = repaired(some)
        assert first_fault(mended) is None
        assert spans_of(mended) == spans_of(some)
        assert (mended == list(some)) == (first_fault(some) is None)


@pytest.mark.parametrize(
    ("label", "previous", "legal"),
    [("I-A", "O", False), ("I-A", "B-A", True), ("I-A", "I-A", True), ("I-A", "B-B", False), ("B-A", "O", True)],
)
def test_what_may_follow(label: str, previous: str, legal: bool) -> None:
    assert may_follow(label, previous) == legal
    assert may_follow("O", previous)
