"""seqlight doctor: what it finds here, and that nothing broken ends it."""

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Run

from seqlight.core import hardware
from seqlight.inspection import doctor, machine, packages, places, programs
from seqlight.inspection.findings import Finding, findings_of, summary, table


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "known_rates", {"cpu": hardware.Rates(50.0, 100.0)})


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_the_command_finds_everything_needed_here(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    done = run("doctor")
    assert done.code == 0, done.out
    lines = done.out.splitlines()
    assert max(map(len, lines[:-1])) <= 120
    assert [line for line in lines if not line.startswith(" ")][:-1] == list(doctor.CHECKS)
    found = {line[2:].partition("  ")[0]: line.split("  ", 2)[-1] for line in lines if line.startswith("  ")}
    for name in ("Python", "torch", "lightning", "CPU", "memory", "fp32 on cpu", "precision auto", "recipes", "runs"):
        assert found[name].strip().startswith("ok "), name
    assert f"{tmp_path}/home/seqlight" in found["cache"]
    assert lines[-1].startswith("everything needed works; missing, and optional: ")
    assert not list(tmp_path.iterdir())  # looking makes nothing


def test_a_cache_that_cannot_be_written_is_broken_and_has_a_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("file").absolute()))
    monkeypatch.setenv("CXX", "/nonexistent")
    done = run("doctor", "--json")
    assert done.code == 1
    report = json.loads(done.out)
    findings = {finding["name"]: finding for section in report["findings"].values() for finding in section}
    assert not report["ok"]
    assert [name for name, finding in findings.items() if finding["state"] == "broken"] == ["cache"]
    assert "cannot be written" in findings["cache"]["found"]
    assert "XDG_CACHE_HOME" in findings["cache"]["remedy"]
    assert findings["C++ compiler"]["found"].startswith("/nonexistent: No such file")
    assert "CXX" in findings["C++ compiler"]["remedy"]


def test_a_check_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def half() -> Iterator[Finding]:
        yield Finding("first", "ok", "here")
        raise RuntimeError("the driver is broken")

    found = findings_of("second", half)
    assert [(finding.name, finding.state) for finding in found] == [("first", "ok"), ("second", "broken")]
    assert found[1].found == "RuntimeError: the driver is broken"
    assert "the driver is broken" in table({"devices": found})
    assert summary(found) == "broken: second; missing, and optional: nothing"
    monkeypatch.setattr(doctor, "CHECKS", {"devices": ("nothing_there.gpus", "packages.python")})
    assert [finding.state for finding in doctor.examine()["devices"]] == ["broken", "ok", "ok"]


def test_what_an_extra_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    version = packages.version

    def without(*hidden: str) -> Any:
        def find(name: str) -> str:
            if name in hidden:
                raise PackageNotFoundError(name)
            return "1.0" if name == "optuna" else version(name)

        return find

    monkeypatch.setattr(packages, "version", without("verovio", "torch", "wandb"))
    extras, needed = by_name(list(packages.extras())), by_name(list(packages.needed()))
    assert extras["music"].state == "missing"
    assert "verovio not installed" in extras["music"].found
    assert extras["music"].remedy == "pip install 'seqlight[music]'"
    assert extras["remi"].state == "ok"
    assert (needed["torch"].state, needed["torch"].remedy) == ("broken", "pip install 'torch<2.14,>=2.11'")
    assert (needed["optuna"].state, needed["wandb"].state) == ("untested", "missing")


def test_a_package_that_cannot_be_imported_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        if name == "torch":
            raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(packages, "import_module", fails)
    needed = by_name(list(packages.needed()))
    assert needed["torch"].state == "broken"
    assert "libcudart.so" in needed["torch"].found
    assert needed["torch"].remedy.startswith("pip install --force-reinstall 'torch")
    assert needed["lightning"].state == "ok"


def test_an_installed_package_knows_what_it_needs_without_its_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    from_checkout = {requirement.name for requirement in packages.requirements()}
    assert {"music", "test"} <= set(packages.extra_names())
    monkeypatch.setattr(packages, "PYPROJECT", ROOT / "nothing.toml")
    assert "torch" in {requirement.name for requirement in packages.requirements()} & from_checkout
    assert {"music", "test"} <= set(packages.extra_names()) == set(packages.EXTRAS)
    assert [requirement.name for requirement in packages.requirements("remi")] == ["miditok"]
    assert packages.python_versions() == ">=3.11"


def test_a_compiler_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho '<stdin>:1:10: fatal error: Python.h: No such file or directory' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    (found,) = programs.compiler()
    assert found.state == "missing"
    assert "fatal error: Python.h" in found.found
    assert "python3-dev" in found.remedy


@pytest.mark.parametrize(
    ("content", "state"), [(None, "missing"), ("machine api.wandb.ai login a password b\n", "ok"), ("x y\n", "missing")]
)
def test_an_account_is_known_by_its_file(
    content: str | None, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    if content is not None:
        (tmp_path / "netrc").write_text(content)
        (tmp_path / "netrc").chmod(0o600)
    (found,) = programs.wandb()
    assert found.state == state
    assert ("WANDB_MODE=offline" in found.remedy) == (state == "missing")


def test_a_soundfont_that_is_no_file_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUNDFONT", "/nonexistent.sf2")
    (found,) = programs.sound()
    assert found.state == "missing"
    assert "/nonexistent.sf2" in found.found


def test_bf16_is_told_from_its_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = hardware.Rates(50.0, 7.0)
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device: False)
    assert machine.bf16("cpu", rates, "").found.startswith("emulated, without instructions: 7 GFLOP/s")
    assert "illegal instruction" in machine.bf16("cpu", hardware.Rates(50.0, 0.0), "").found


def test_code_in_a_temporary_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / f"{places.STAND_IN}abc"))
    (found,) = places.compiled_code()
    assert found.state == "missing"


def test_mistakes_are_one_line(run: Run) -> None:
    done = run("doctor", "--jsn")
    assert done.code == 2
    assert "doctor: unrecognized arguments: --jsn; use `seqlight doctor`" in done.err
