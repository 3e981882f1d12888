"""The wheel alone is enough: it holds the recipes, and its command trains from an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

PACKAGES = ("seqlight", "seq_modules", "datamodules")
SOURCES = (*PACKAGES, "configs", "pyproject.toml", "setup.py", "README.md", "LICENSE", "cli.py")


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed, and finds no package of this repository by itself."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built in a copy without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    flags = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder)
    run(sys.executable, "-m", "pip", "wheel", *flags, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_all_modules_and_recipes_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.*") if path.suffix in (".py", ".html")]
    modules = {path.relative_to(ROOT).as_posix() for path in files}
    recipes = {f"seqlight/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert held == modules | recipes  # no cli.py among them


def test_the_installed_command_trains_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=tmp_path)
    python = tmp_path / "env/bin/python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=tmp_path
    )
    # The dependencies are those of this environment; its .pth files, which make seqlight editable, are not read.
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    seqlight = tmp_path / "env/bin/seqlight"
    assert "  parity/lstm_last " in run(seqlight, "configs", cwd=empty)
    words = ("--config", "parity/lstm_last", *SMALL, "--trainer.max_epochs=1", "--model.net.hidden_size=4")
    assert "results: runs/parity/lstm_last/" in run(seqlight, "fit", *words, cwd=empty)
    (best,) = empty.rglob("best.ckpt")
    assert "parity" in run(seqlight, "predict", "--ckpt_path", best, "--data.bits", '["011"]', cwd=empty)
    found = run(
        python, "-c", "import importlib.util as u; print(u.find_spec('cli'), u.find_spec('seqlight').origin)", cwd=empty
    )
    assert found.startswith(f"None {site}")
