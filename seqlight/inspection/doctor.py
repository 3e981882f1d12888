"""``seqlight doctor``: what is installed, what works on this machine, and what to do about the rest.

Every check is imported and run by itself, so that a package that cannot be imported leaves the other checks.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib import import_module

from seqlight.core.plain_parser import PlainParser
from seqlight.inspection.findings import Finding, findings_of, summary, table

# Functions of this package's modules, in the order in which they are run, by the heading of their findings.
CHECKS = {
    "packages": ("packages.python", "packages.needed"),
    "extras": ("packages.extras",),
    "devices": ("machine.processor", "machine.memory", "machine.gpus"),
    "precision": ("machine.precisions",),
    "programs": ("programs.compiler", "programs.sound", "programs.wandb"),
    "folders": ("places.recipes", "places.runs", "places.caches", "places.compiled_code"),
}


def command(words: list[str]) -> int:
    """Prints what every check found; 1 if something that is needed is broken, else 0."""
    parser = PlainParser(
        "seqlight doctor",
        "use `seqlight doctor` or `seqlight doctor --json`",
        description="What is installed, what works on this machine, and what to do about the rest.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    args = parser.parse_args(words)
    sections = examine()
    findings = [finding for section in sections.values() for finding in section]
    is_well = all(finding.state != "broken" for finding in findings)
    if args.json:
        found = {title: [asdict(finding) for finding in section] for title, section in sections.items()}
        print(json.dumps({"ok": is_well, "findings": found}, indent=2))
    else:
        print(f"{table(sections)}\n{summary(findings)}")
    return 0 if is_well else 1


def examine() -> dict[str, list[Finding]]:
    """Runs all checks; their findings by heading."""
    return {
        title: [finding for name in names for finding in findings_of(name.partition(".")[2], check(name))]
        for title, names in CHECKS.items()
    }


def check(name: str) -> Callable[[], Iterable[Finding]]:
    """A check that imports its module when it is run."""

    def run() -> Iterable[Finding]:
        module, _, function = name.partition(".")
        yield from getattr(import_module(f"seqlight.inspection.{module}"), function)()

    return run
