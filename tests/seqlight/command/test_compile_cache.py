"""A folder of compiled code that cannot be written ends no command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from seqlight.command.compile_cache import VARIABLE, replace_unwritable_cache


def test_a_folder_that_can_be_written_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in ("", str(tmp_path / "new/folder")):
        monkeypatch.setenv(VARIABLE, value)
        replace_unwritable_cache()
        assert os.environ[VARIABLE] == value
    monkeypatch.delenv(VARIABLE)
    replace_unwritable_cache()
    assert VARIABLE not in os.environ
    assert capsys.readouterr().err == ""
    assert list((tmp_path / "new/folder").iterdir()) == []


@pytest.mark.parametrize("place", ["below a file", "a file", "the kernel's own"])
def test_another_folder_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").touch()
    folder = {"below a file": tmp_path / "file/cache", "a file": tmp_path / "file", "the kernel's own": Path("/proc/1")}
    monkeypatch.setenv(VARIABLE, str(folder[place]))
    replace_unwritable_cache()
    used = Path(os.environ[VARIABLE])
    assert used != folder[place]
    assert used.is_dir()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"{VARIABLE} {folder[place]}: ")
    assert said.endswith(f"; compiled code of this run is kept in {used}\n")
    used.rmdir()


def test_a_command_that_imports_the_compiler_runs(tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "cli.py"), "fit", "--config", "parity/lstm_last", "--trainer.max_epochs=1"]
    words += ["--data.train_size=64", "--data.val_size=16", "--data.test_size=16", "--trainer.accelerator=cpu"]
    environment = {**os.environ, VARIABLE: "/dev/null/cache"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"{VARIABLE} /dev/null/cache: Not a directory; compiled code of this run is kept in ")
    used = Path(done.stderr.partition("\n")[0].rpartition(" ")[2])
    assert not used.exists()  # removed when the command ended
