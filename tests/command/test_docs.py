"""The pages' links, paths and options exist."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT, Run
from lightning.pytorch.callbacks import ModelCheckpoint

from seq_modules import callbacks

# Old entries of the log and of the decisions keep the names of their day.
DATED = {*(ROOT / "docs/decisions").glob("*.md"), ROOT / "docs/log.md"}
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks/README.md"]
LIVING = [page for page in PAGES if page not in DATED]
RECIPES = (
    "parity/lstm_last", "text/speedrun", "text/lstm_char", "music/lstm", "music/transformer", "music/jsb_lstm",
    "questions/lstm", "questions/bert", "reviews/mean", "reviews/ngrams", "translation/multi30k_transformer",
    "translation/strings", "formal/even_pairs", "mlp/circles", "forecast/nlinear", "forecast/patch_transformer",
    "tagging/ewt_lstm", "tagging/ewt_bert",
)  # fmt: skip


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", LIVING, ids=name_of)
def test_files_that_a_page_names_exist(page: Path) -> None:
    folders = "seq_modules|datamodules|seqlight|configs|tests|benchmarks|docs"
    for path in re.findall(rf"[(`\s]((?:{folders})/[\w./-]+\.(?:py|md|yaml|csv|png|json))", page.read_text()):
        assert (ROOT / path).exists() or re.search(r"\b[A-Z]+\b", path), path  # systems/NAME.py stands for any


def keys(node: Any, above: str = "") -> Iterator[str]:
    """Dotted option names of a resolved config, with those of the groups."""
    if isinstance(node, dict):
        for name, value in node.items():
            key = above if name == "init_args" else f"{above}.{name}".lstrip(".")
            yield key
            yield from keys(value, key)


def test_options_that_the_pages_name_exist(run: Run) -> None:
    known = set()
    for recipe in RECIPES:
        shown = run("fit", f"--config={recipe}", "--print_config")
        assert shown.code == 0, shown.err
        known |= set(keys(yaml.safe_load(shown.out)))
    named = {
        (name_of(page), option)
        for page in LIVING
        for option in re.findall(
            r"(?:--|\s)((?:model|data|trainer|decoding)\.[a-z_0-9.]*[a-z_0-9])(?=[\s=`])", page.read_text()
        )
        if option not in ("model.help", "data.help") and not option.startswith("trainer.callbacks.")
    }
    assert not sorted((page, option) for page, option in named if option not in known)


@pytest.mark.parametrize("page", LIVING, ids=name_of)
def test_callbacks_that_a_page_adds_take_the_arguments_it_gives(page: Path) -> None:
    text, checked = page.read_text(), 0
    for name, given in re.findall(r"--trainer\.callbacks\+=(\w+)((?:[\s\\]+--trainer\.callbacks\.\w+=\S+)*)", text):
        kind = ModelCheckpoint if name == "ModelCheckpoint" else getattr(callbacks, name)
        for argument in re.findall(r"callbacks\.(\w+)=", given):
            assert argument in inspect.signature(kind).parameters, f"{name}: {argument}"
            checked += 1
    assert checked == len(re.findall(r"--trainer\.callbacks\.\w+=", text))  # each follows its callback
