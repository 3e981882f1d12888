"""Imports run one way, and no folder or file is too full."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("seqlight", "seq_modules", "datamodules", "cli")
NEUTRAL = {"seqlight.core", "seqlight.music"}
# What a file may import of ours, and of the big libraries, by the longest prefix that fits it.
RULES: dict[str, tuple[set[str], set[str]]] = {
    "cli.py": ({"seqlight"}, set()),
    "seqlight/": ({"seqlight", "seq_modules", "datamodules"}, {"torch", "lightning", "optuna", "jsonargparse"}),
    "seqlight/web/": ({"seqlight", "seq_modules", "datamodules"}, {"torch", "numpy"}),
    "seqlight/web/page.py": ({"seqlight"}, {"gradio"}),
    "seqlight/core/": ({"seqlight.core"}, {"matplotlib"}),
    "seqlight/core/checkpoint_file/": ({"seqlight.core"}, {"torch"}),
    "seqlight/core/hyperparameters.py": ({"seqlight.core"}, {"lightning"}),
    "seqlight/core/hardware.py": ({"seqlight.core"}, {"torch"}),
    "seqlight/run_files/wandb_": ({"seqlight", "datamodules.loading"}, {"lightning", "wandb"}),
    "seqlight/export/transformers_folder.py": ({"seqlight", "seq_modules"}, {"torch", "transformers"}),
    "seqlight/export/encoder_folder.py": ({"seqlight", "seq_modules"}, {"torch", "transformers"}),
    "seqlight/music/": (NEUTRAL, {"matplotlib", "numpy"}),
    "seqlight/music/score.py": (NEUTRAL, {"numpy", "verovio"}),
    "seq_modules/": ({"seq_modules", *NEUTRAL}, {"torch", "lightning", "torchmetrics", "matplotlib", "numpy"}),
    "seq_modules/callbacks/loggers/media.py": (
        {"seq_modules", *NEUTRAL},
        {"torch", "lightning", "matplotlib", "numpy", "wandb"},
    ),
    "seq_modules/nets/": ({"seq_modules.nets", "seqlight.core"}, {"torch"}),
    "seq_modules/nets/mlp/numpy_bridge.py": ({"seq_modules.nets", "seq_modules.reference"}, {"torch"}),
    "seq_modules/nets/rnn/numpy_bridge.py": ({"seq_modules.nets", "seq_modules.reference"}, {"torch", "numpy"}),
    "seq_modules/nets/pretrained/": ({"seq_modules.nets", "seqlight.core"}, {"torch", "transformers"}),
    "seq_modules/reference/": ({"seq_modules.reference", "seqlight.core"}, {"numpy"}),
    "seq_modules/generation/": ({"seq_modules.generation", "seqlight.core"}, {"torch"}),
    "seq_modules/probes/": ({"seq_modules.probes", "seqlight.core"}, set()),
    "seq_modules/probes/sources.py": ({"seq_modules.probes", "seqlight.core"}, {"datasets"}),
    "datamodules/": ({"datamodules", *NEUTRAL}, {"torch", "lightning", "numpy"}),
    "datamodules/tokenizers/": ({"datamodules.tokenizers", *NEUTRAL}, {"torch", "numpy", "sentencepiece"}),
    "datamodules/tokenizers/wordpiece.py": ({"datamodules.tokenizers", *NEUTRAL}, {"numpy", "transformers"}),
    "datamodules/tokenizers/music/remi.py": ({"datamodules.tokenizers", *NEUTRAL}, {"numpy", "symusic", "miditok"}),
    "datamodules/music/sources/midi_files.py": ({"datamodules", *NEUTRAL}, {"symusic"}),
    "datamodules/music/sources/chorales.py": ({"datamodules", *NEUTRAL}, {"music21"}),
    "datamodules/text/text_sources.py": ({"datamodules", *NEUTRAL}, {"datasets", "lightning"}),
    "datamodules/text/parquet_rows.py": ({"datamodules", *NEUTRAL}, {"datasets"}),
    "datamodules/text/shard_rows.py": ({"datamodules", *NEUTRAL}, {"datasets"}),
    "datamodules/text/document_source.py": ({"datamodules", *NEUTRAL}, {"datasets", "numpy"}),
    "datamodules/classification/hub_tables.py": ({"datamodules", *NEUTRAL}, {"datasets"}),
}
BIG = {
    "torch", "lightning", "torchmetrics", "matplotlib", "numpy", "optuna", "wandb", "transformers", "datasets",
    "sentencepiece", "jsonargparse", "symusic", "miditok", "music21", "verovio", "gradio",
}  # fmt: skip
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
def test_files_are_named_for_what_they_hold(path: Path) -> None:
    assert path.stem not in ("utils", "helpers", "misc", "common")


@pytest.mark.parametrize("package", PACKAGES[:3])
def test_no_folder_is_too_full_to_find_something_in(package: str) -> None:
    for folder in [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]:
        if folder.name == "__pycache__":
            continue
        siblings = [path.name for path in folder.iterdir() if path.name not in ("__pycache__", "__init__.py")]
        assert len(siblings) <= 14, (folder, siblings)
