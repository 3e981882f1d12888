"""The notebooks run from the first cell to the last, and are the same in both of their forms."""

import ast
import json
import logging
import string
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from conftest import ROOT
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from transformers import BertConfig, BertModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import jupytext

TEXTS = sorted((ROOT / "docs/notebooks").glob("*.py"))


@pytest.fixture
def _small_and_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small settings, an empty folder, and everything that a notebook changes for its process put back afterwards."""
    matplotlib.get_cachedir()  # remembered from here on
    logger, backend = logging.getLogger("lightning.pytorch"), matplotlib.get_backend()
    level = logger.level
    monkeypatch.setenv("SEQLIGHT_SMALL", "1")
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):  # which seed_everything leaves behind
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), np.printoptions():
        yield
    plt.close("all")
    plt.switch_backend(backend)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smallest BERT, untrained, whose tokens are letters."""
    folder = tmp_path_factory.mktemp("encoder")
    letters = string.ascii_lowercase
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(tokens), **shape)).save_pretrained(folder)
    return folder


def run_cell(source: str, name: str, scope: dict[str, Any]) -> Any:
    """What a cell shows: the value of its last line, if that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), name, "exec"), scope)
    return None if last is None else eval(compile(ast.Expression(last.value), name, "eval"), scope)


def test_the_notebooks_were_found() -> None:
    assert len(TEXTS) == 6


@pytest.mark.usefixtures("_small_and_alone")
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_all_cells_run(
    path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEQLIGHT_ENCODER", str(encoder))
    drawn: list[Any] = []
    monkeypatch.setattr(plt, "show", lambda: drawn.extend(map(plt.figure, plt.get_fignums())) or plt.close("all"))
    scope: dict[str, Any] = {"__name__": "notebook"}
    sources = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    drawn += [
        shown
        for number, source in enumerate(sources, 1)
        if (shown := run_cell(source, f"{path.name}, cell {number}", scope)) is not None
    ]
    assert scope["SMALL"]
    assert len(drawn) >= 3
    for picture in drawn:
        assert picture.axes if isinstance(picture, Figure) else picture.load()  # pixels, from a file
    said = capsys.readouterr().out
    assert "seconds of processor time" in said
    assert "skipped" not in said
    assert {entry.name for entry in Path.cwd().iterdir()} <= {"runs", "home"}  # nothing lies about


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_badge_and_the_first_cell_have_the_address_of_the_repository(path: Path) -> None:
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    site, _, name = address.partition("github.com/")
    assert site == "https://"
    title, first, *others = (cell.source for cell in jupytext.read(path).cells)
    notebook = f"{name}/blob/main/docs/notebooks/{path.stem}.ipynb"
    assert f"[colab]: https://colab.research.google.com/github/{notebook}" in title.splitlines()
    assert f'address = "git+{address}"' in first
    assert not [text for text in others if "github.com" in text]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_notebook_is_made_from_its_text(path: Path) -> None:
    made, text = jupytext.read(path.with_suffix(".ipynb")), jupytext.read(path)
    assert [(cell.cell_type, cell.source) for cell in made.cells] == [
        (cell.cell_type, cell.source) for cell in text.cells
    ]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_the_notebook_shows_what_it_printed_and_drew(path: Path) -> None:
    content = json.loads(path.with_suffix(".ipynb").read_text())
    outputs = [output for cell in content["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert len([output for output in outputs if "image/png" in output.get("data", {})]) >= 3
    printed = "".join(line for output in outputs for line in output.get("text", []))
    assert "skipped: no pretrained encoder" not in printed
    assert path.with_suffix(".ipynb").stat().st_size < 300_000
