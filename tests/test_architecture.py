"""Imports run one way."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("seqlight", "seq_modules", "datamodules", "cli")
# What a file may import of ours, and of the big libraries, by the longest prefix that fits it.
RULES: dict[str, tuple[set[str], set[str]]] = {
    "cli.py": ({"seqlight"}, set()),
    "seqlight/": ({"seqlight", "seq_modules", "datamodules"}, {"torch", "lightning", "optuna", "jsonargparse"}),
    "seq_modules/": ({"seq_modules"}, {"torch", "lightning", "torchmetrics", "matplotlib", "numpy"}),
    "seq_modules/nets/": ({"seq_modules.nets"}, {"torch"}),
    "seq_modules/nets/numpy_bridge.py": ({"seq_modules.nets", "seq_modules.reference"}, {"torch", "numpy"}),
    "seq_modules/nets/bert.py": ({"seq_modules.nets"}, {"torch", "transformers"}),
    "seq_modules/reference/": ({"seq_modules.reference"}, {"numpy"}),
    "seq_modules/generation/": ({"seq_modules.generation"}, {"torch"}),
    "seq_modules/music/": ({"seq_modules.music"}, {"torch", "torchmetrics", "matplotlib", "numpy"}),
    "seq_modules/music/score.py": ({"seq_modules.music"}, {"numpy", "verovio"}),
    "seq_modules/probes/": ({"seq_modules.probes"}, set()),
    "seq_modules/probes/sources.py": ({"seq_modules.probes"}, {"datasets"}),
    "datamodules/": ({"datamodules"}, {"torch", "lightning", "numpy"}),
    "datamodules/tokenizers/": ({"datamodules.tokenizers"}, {"torch", "numpy", "sentencepiece"}),
    "datamodules/tokenizers/wordpiece.py": ({"datamodules.tokenizers"}, {"numpy", "transformers"}),
    "datamodules/tokenizers/midi.py": (
        {"datamodules.tokenizers", "datamodules.music.notes", "datamodules.music.keys"},
        {"numpy"},
    ),
    "datamodules/tokenizers/remi.py": (
        {"datamodules.tokenizers", "datamodules.music.notes", "datamodules.music.keys"},
        {"numpy", "symusic", "miditok"},
    ),
    "datamodules/tokenizers/signatures.py": ({"datamodules.music.keys"}, {"numpy"}),
    "datamodules/music/": ({"datamodules"}, {"torch", "numpy"}),
    "datamodules/music/files.py": ({"datamodules"}, {"symusic"}),
    "datamodules/music/reports.py": ({"datamodules"}, {"lightning"}),
    "datamodules/music/chorales.py": ({"datamodules"}, {"music21"}),
    "datamodules/text_sources.py": ({"datamodules"}, {"datasets"}),
    "datamodules/hub_tables.py": ({"datamodules"}, {"datasets"}),
}
BIG = {
    "torch",
    "lightning",
    "torchmetrics",
    "matplotlib",
    "numpy",
    "optuna",
    "wandb",
    "transformers",
    "datasets",
    "sentencepiece",
    "jsonargparse",
    "symusic",
    "miditok",
    "music21",
    "verovio",
}
FILES = [ROOT / "cli.py", *(path for package in PACKAGES[:3] for path in sorted((ROOT / package).rglob("*.py")))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    ours, big = RULES[max((rule for rule in RULES if name.startswith(rule)), key=len)]
    for module in imported(path):
        top = module.partition(".")[0]
        if top in PACKAGES:
            assert any(
                module == allowed or module.startswith(f"{allowed}.") or allowed.startswith(f"{module}.")
                for allowed in ours
            ), module
        elif top in BIG:
            assert top in big, module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small_and_named_for_what_they_hold(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
    assert path.stem not in ("utils", "helpers", "misc", "common")
