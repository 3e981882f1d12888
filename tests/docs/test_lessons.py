"""The Python on a page of notes runs, in order, and prints what the page says."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT

BLOCK = re.compile(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", re.S)
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")
PAGES = [page for page in sorted((ROOT / "docs/lessons").glob("*.md")) if "```text\n" in page.read_text()]


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield
    torch.set_printoptions(profile="default")


def test_the_pages_were_found() -> None:
    assert {page.stem for page in PAGES} >= {"recurrent_step", "attention"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_prints_what_it_says(page: Path) -> None:
    scope: dict[str, object] = {}
    blocks = BLOCK.findall(page.read_text())
    assert len([said for _, said in blocks if said]) >= 3
    for code, said in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, page.name, "exec"), scope)
        # The last digit may differ between processors.
        numbers = [[float(number) for number in NUMBER.findall(text)] for text in (printed.getvalue(), said)]
        assert numbers[0] == pytest.approx(numbers[1], abs=2e-4), code
        words = [NUMBER.sub("0.0", text).replace("-0.0", "0.0").split() for text in (printed.getvalue(), said)]
        assert words[0] == words[1], code
