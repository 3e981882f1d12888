"""The files and commands of the tutorials work as they stand on the pages."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Run
from helpers.commands.runs import newest

import seqlight
from seqlight.core.errors import UserError
from seqlight.core.plots import read_metrics
from seqlight.sweep import read_sweep

TUTORIALS = ROOT / "docs/tutorials"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", (TUTORIALS / page).read_text(), re.S)


def commands(page: str) -> list[list[str]]:
    """The words of the page's commands, without the program."""
    lines = re.findall(r"^    seqlight (.*)", (TUTORIALS / page).read_text(), re.M)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("echo", None)


@pytest.mark.usefixtures("_own_modules")
def test_your_own_system_does_what_its_page_says(run: Run) -> None:
    (code,), (recipe,) = blocks("own_system.md", "python"), blocks("own_system.md", "yaml")
    assert len(code.splitlines()) <= 60
    Path("echo.py").write_text(code)
    Path("echo.yaml").write_text(recipe)
    for words in commands("own_system.md"):
        sys.modules.pop("echo", None)  # each command is a program of its own
        done = run(*words)
        assert done.code == 0, done.err
        following = " --model echo.EchoModule --data echo.EchoData"
        assert following in done.out or words[0] == "predict"  # the line tells what to run next
        if words[0] == "test" and "--config" not in words:
            assert read_metrics(newest("metrics.csv"))["test/accuracy"][-1][1] > 0.9
    rows = [json.loads(line) for line in newest("predictions.jsonl").read_text().splitlines()]
    assert [row["index"] for row in rows] == list(range(10))
    assert {len(row["letters"]) for row in rows} == {20}
    refused = run("fit", "--config=echo.yaml", "--data.seq_len=1")
    assert (refused.code, "data.seq_len must be at least 2, not 1" in refused.err) == (2, True)
    # A checkpoint's own words import nothing.
    del sys.modules["echo"]
    refused = run("test", "--ckpt_path=best")
    assert (refused.code, "name it by --model" in refused.err) == (2, True)
    with pytest.raises(UserError, match="import its module first"):
        seqlight.load("best")
    assert "echo" not in sys.modules


@pytest.mark.parametrize("page", ["first_model.md", "own_data.md"])  # the other pages differ by overlays alone
def test_training_commands_parse(run: Run, page: str) -> None:
    assert run("configs", "copy", "text/gpt_char", "books.yaml").code == 0
    fits = [words for words in commands(page) if words[0] == "fit" and "--ckpt_path" not in words]
    assert fits
    for words in fits:
        shown = run(*(words if words[-1].startswith(("--print", "Parity")) else [*words, "--print_config"]))
        assert shown.code == 0, shown.err


def test_the_overlay_of_a_team_is_one(run: Run) -> None:
    Path("logger").mkdir()
    Path("logger/team.yaml").write_text(blocks("wandb.md", "yaml")[0])
    (words,) = [words for words in commands("wandb.md") if "logger/team.yaml" in words]
    shown = run(*words, "--print_config")
    assert shown.code == 0, shown.err
    assert "project: memory" in shown.out


def test_the_sweeps_are_read_and_their_settings_are_options(run: Run) -> None:
    words = []
    for text in blocks("sweeps.md", "yaml"):
        Path("sweep.yaml").write_text(text)
        sweep = read_sweep("sweep.yaml")
        assert len(sweep.combinations) == (9 if sweep.grid else 1)
        words += [f"--{name}={values[0]}" for name, values in sweep.grid.items()]
        words += [f"--{name}={space['low']}" for name, space in sweep.search.items()]
    shown = run("fit", "--config=parity/lstm_last", "--config=trainer/study", *words, "--print_config")
    assert shown.code == 0, shown.err
