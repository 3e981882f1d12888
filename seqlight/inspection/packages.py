"""Python and the packages: what pyproject.toml asks for, and what is installed."""

import platform
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from seqlight.core.errors import reason_of
from seqlight.inspection.findings import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"  # of a checkout; an installed package has its metadata
IMPORTED = {"torch": "torch", "lightning": "lightning", "numpy": "numpy", "PyYAML": "yaml"}  # by every training
OPTIONAL = ("wandb",)  # installed with seqlight, and imported only by an overlay
# What extras are for.
EXTRAS = {
    "tensorboard": "the overlay logger/tensorboard",
    "music": "Bach's chorales (--data.source.kind chorales), and scores as pictures",
    "remi": "--data.tokens.kind remi",
    "postgres": "sweeps shared through a database",
    "onnx": "seqlight export --format onnx",
    "web": "seqlight try, models on a local page",
    "notebooks": "the notebooks under docs/notebooks",
    "docs": "the documentation site",
    "test": "the test suite, format, lint and types",
}


def python() -> Iterator[Finding]:
    """The interpreter, and the package itself."""
    from packaging.specifiers import SpecifierSet

    here, wanted = platform.python_version(), python_versions()
    fits = SpecifierSet(wanted).contains(here, prereleases=True)
    found = f"{here}, {sys.executable}"
    yield Finding("Python", "ok" if fits else "broken", found, "" if fits else f"use Python {wanted}")
    yield Finding("seqlight", "ok", f"{version('seqlight')}, {PYPROJECT.parent}, {platform.platform()}")


def needed() -> Iterator[Finding]:
    """Every package that seqlight cannot do without: its version, and of the largest whether it can be imported."""
    for requirement in requirements():
        found = installed(requirement)
        if found.state != "broken" and found.name in IMPORTED:
            try:
                import_module(IMPORTED[found.name])
            except Exception as error:  # whatever a damaged package raises
                remedy = f"pip install --force-reinstall '{requirement.name}{requirement.specifier}'"
                found = Finding(found.name, "broken", f"{found.found}, but not imported: {reason_of(error)}", remedy)
        yield found


def extras() -> Iterator[Finding]:
    """Every extra: what it brings, and whether all of it is installed."""
    for name in extra_names():
        parts = [installed(requirement) for requirement in requirements(name)]
        absent = [part.name for part in parts if part.state == "broken"]
        found = f"for {EXTRAS[name]}: "
        found += ", ".join(f"{part.name} {part.found.partition(',')[0]}" for part in parts)
        remedy = f"pip install 'seqlight[{name}]'" if absent else ""
        others = {part.state for part in parts}
        yield Finding(name, "missing" if absent else "untested" if "untested" in others else "ok", found, remedy)


def installed(requirement: "Requirement") -> Finding:
    """One package: the version that is installed, beside those that are asked for."""
    state = "missing" if requirement.name in OPTIONAL else "broken"
    remedy = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        here = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, state, "not installed", remedy)  # type: ignore[arg-type]
    if not requirement.specifier.contains(here, prereleases=True):
        return Finding(requirement.name, "untested", f"{here}, outside {requirement.specifier}", remedy)
    return Finding(requirement.name, "ok", here)


def requirements(extra: str | None = None) -> list["Requirement"]:
    """What is needed in any case, or by an extra; an extra's other extras are left out."""
    from packaging.requirements import Requirement

    if (project := of_checkout()) is not None:
        lines = project["dependencies"] if extra is None else project["optional-dependencies"].get(extra, [])
        found = [Requirement(line) for line in lines]
    else:
        found = []
        for requirement in map(Requirement, requires("seqlight") or []):
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                found += [requirement] if extra is None else []
            elif extra is not None and marker.evaluate({"extra": extra}):
                found.append(requirement)
    return [requirement for requirement in found if requirement.name != "seqlight"]


def extra_names() -> list[str]:
    """The extras, in the order of pyproject.toml."""
    if (project := of_checkout()) is not None:
        return list(project["optional-dependencies"])
    return metadata("seqlight").get_all("Provides-Extra") or []


def python_versions() -> str:
    """The versions of Python that seqlight runs on, such as ">=3.11"."""
    project = of_checkout()
    return str(project["requires-python"] if project is not None else metadata("seqlight")["Requires-Python"] or "")


def of_checkout() -> dict | None:
    """pyproject.toml's ``project``, which is newer than the metadata where both are there; None outside a checkout."""
    if not PYPROJECT.is_file():
        return None
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8")).get("project", {})
    return project if project.get("name") == "seqlight" else None
