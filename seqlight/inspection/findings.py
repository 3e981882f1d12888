"""What one check found, and how checks are run and shown: nothing that is broken hides what comes after it."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from seqlight.core.errors import reason_of

State = Literal["ok", "missing", "untested", "broken"]
WIDTH = 120  # characters of a line


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was looked at.
        state: "ok"; "missing", something optional that is not here; "untested", another version than those that are
            tested; "broken", something needed that is missing or does not work.
        found: What is there.
        remedy: What to do about it; empty where there is nothing to do.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def findings_of(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds; where it fails, what it had found before, and its failure under the name."""
    found: list[Finding] = []
    try:
        for finding in check():
            found.append(finding)
    except Exception as error:  # whatever it is: a broken package may raise anything when it is imported
        reason = f"{type(error).__name__}: {reason_of(error)}"
        found.append(Finding(name, "broken", reason, "put right what is broken, here or above, and run it again"))
    return found


def table(sections: dict[str, list[Finding]]) -> str:
    """Sections of aligned lines; a remedy stands below what it mends."""
    findings = [finding for section in sections.values() for finding in section]
    name, state = (max(len(getattr(f, field)) for f in findings) for field in ("name", "state"))
    margin = " " * (name + state + 6)
    lines = []
    for title, section in sections.items():
        lines.append(title)
        for finding in section:
            said = [finding.found, *([f"remedy: {finding.remedy}"] if finding.remedy else [])]
            first, *rest = [line for text in said for line in textwrap.wrap(text, WIDTH - len(margin))]
            lines.append(f"  {finding.name:<{name}}  {finding.state:<{state}}  {first}")
            lines += [f"{margin}{line}" for line in rest]
    return "\n".join(lines)


def summary(findings: list[Finding]) -> str:
    """One line: what is broken, or that all that is needed works, and how much of the optional is missing."""
    broken = [finding.name for finding in findings if finding.state == "broken"]
    missing = [finding.name for finding in findings if finding.state == "missing"]
    first = f"broken: {', '.join(broken)}" if broken else "everything needed works"
    return f"{first}; missing, and optional: {', '.join(missing) or 'nothing'}"
