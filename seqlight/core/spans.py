"""Labels of spans in the BIO scheme: B-X begins a span of the type X, I-X continues it, O is in no span."""

import re
from collections.abc import Sequence

OUTSIDE = "O"
BIO = re.compile(r"O|[BI]-.+")

Span = tuple[str, int, int]  # its type, its first word, and the one after its last


def is_bio(names: Sequence[str]) -> bool:
    """Whether these are labels of the BIO scheme: O, B-X and I-X alone, and not O alone."""
    return all(BIO.fullmatch(name) for name in names) and any(name != OUTSIDE for name in names)


def type_of(label: str) -> str:
    """The type X of B-X or I-X; the empty string for O."""
    return label[2:] if label != OUTSIDE else ""


def may_follow(label: str, previous: str = OUTSIDE) -> bool:
    """Whether a label may stand after another one, or without one at the beginning of a sentence.

    I-X follows B-X and I-X alone; every other label may follow any.
    """
    return not label.startswith("I-") or (previous != OUTSIDE and type_of(previous) == type_of(label))


def first_fault(labels: Sequence[str]) -> int | None:
    """The place of the first I-X that no span of its type precedes; None where there is none."""
    previous = OUTSIDE
    for place, label in enumerate(labels):
        if not may_follow(label, previous):
            return place
        previous = label
    return None


def repaired(labels: Sequence[str]) -> list[str]:
    """The labels, each I-X that no span of its type precedes made B-X.

    This reads the older scheme IOB1, where B-X stands between two adjacent spans alone, and changes no span.
    """
    found: list[str] = []
    for label in labels:
        legal = may_follow(label, found[-1] if found else OUTSIDE)
        found.append(label if legal else f"B-{type_of(label)}")
    return found


def spans_of(labels: Sequence[str]) -> list[Span]:
    """The spans of a sentence in their order; an I-X that no span of its type precedes begins one."""
    found: list[Span] = []
    for place, label in enumerate(repaired(labels)):
        if label.startswith("B-"):
            found.append((type_of(label), place, place + 1))
        elif label.startswith("I-"):
            found[-1] = (*found[-1][:2], place + 1)
    return found
