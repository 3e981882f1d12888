"""The model card of an exported model, README.md, and training.yaml, the settings of its run."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seqlight.checkpoints import CHECKPOINTS, known_class, settings
from seqlight.core.plots import read_metrics
from seqlight.core.yaml_text import yaml_text
from seqlight.export.safetensors_folder import hyperparameters, place_of, without_folders

NAME, TRAINING = "README.md", "training.yaml"
PACKAGES = ("seqlight", "torch", "lightning")
FRONT_MATTER = """---
license:  # fill in, such as mit or cc-by-4.0
library_name: {library}
tags:
- seqlight
---
"""


def write(content: Mapping[str, Any], checkpoint: Path, folder: Path, library: str, use: str) -> None:
    """Writes the card, and beside it the run's settings where the checkpoint has them.

    Args:
        content: The checkpoint's.
        checkpoint: The file it is from; a run's own has metrics beside it.
        folder: Where to write.
        library: What loads the model: seqlight, transformers or onnx.
        use: How the model is loaded and called, Markdown.
    """
    training = training_settings(content, checkpoint)
    if training:
        (folder / TRAINING).write_text(yaml_text(training), encoding="utf-8")
    (folder / NAME).write_text(card(content, checkpoint, bool(training), library, use), encoding="utf-8")


def training_settings(content: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """The settings of a checkpoint's run as a recipe: model, data, seed and loop, without places of its machine."""
    if not content.get("config"):
        return {}
    found = settings(dict(content), checkpoint, "fit")
    kept: dict[str, Any] = {
        name: found[name] for name in ("seed_everything", "experiment", "model", "data", "decoding") if name in found
    }
    for part in ("model", "data"):
        if part in kept:
            kept[part] = {**kept[part], "init_args": hyperparameters(kept[part]["init_args"])}
    kept.get("data", {}).get("init_args", {}).pop("tokenizer_path", None)
    unplaced = ("callbacks", "logger", "default_root_dir", "accelerator", "strategy", "devices", "num_nodes")
    trainer = {name: value for name, value in found["trainer"].items() if name not in unplaced and value is not None}
    return {**kept, "trainer": trainer}


def card(content: Mapping[str, Any], checkpoint: Path, has_settings: bool, library: str, use: str) -> str:
    """The card's text."""
    model = str(content["hyper_parameters"]["_class_path"]).rpartition(".")[2]
    experiment = (content.get("config") or {}).get("experiment")
    weights = {place_of(value): value.numel() for value in content["state_dict"].values()}
    steps = f", after {content['global_step']:,} steps of training" if "global_step" in content else ""
    # Its own docstring: inspect.getdoc would take that of a base.
    said = (known_class(content["hyper_parameters"]["_class_path"], object).__doc__ or "").strip()
    parts = [
        FRONT_MATTER.format(library=library),
        f"# {experiment or model}\n",
        f"A `{model}` of seqlight with {sum(weights.values()):,} weights{steps}. {said.partition(chr(10))[0]}".rstrip()
        + "\n",
        f"## Use\n\n{use}\n",
        f"## Data\n\n{data_text(content)}\n",
        f"## Metrics\n\n{metrics_text(content, checkpoint)}\n",
    ]
    if has_settings:
        trained = f"    seqlight fit --config {TRAINING}\n"
        more = "Options that name files (`--data.path` and the like) say here what the files were called.\n"
        parts.append(f"## Training\n\n{trained}\n{more}")
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    parts.append(f"## Versions\n\nExported from `{checkpoint.name}` with {versions}.\n")
    return "\n".join(parts)


def data_text(content: Mapping[str, Any]) -> str:
    """Which class made the data, with which settings that name it, and what its files held."""
    saved = content.get("datamodule_hyper_parameters") or {}
    if "_class_path" not in saved:
        return "The checkpoint does not say."
    name = str(saved["_class_path"]).rpartition(".")[2]
    lines = [f"`{name}`."]
    if content.get("data_files"):
        held = dict(hyperparameters(saved))
        lines += ["", "| option | files | fingerprint of their contents |", "|---|---|---|"]
        for option, digest in content["data_files"].items():
            lines.append(f"| `--data.{option}` | {shown(held, option)} | `{digest}` |")
    else:
        lines[0] += " It read no files: the data are built in, or made on the fly."
    if "tokenizer_fingerprint" in content:
        lines += ["", f"Tokenizer: {content['tokenizer']['kind']}, fingerprint `{content['tokenizer_fingerprint']}`."]
    if content.get("class_names"):
        lines += ["", f"Classes: {', '.join(content['class_names'])}."]
    return "\n".join(lines)


def shown(held: Mapping[str, Any], option: str) -> str:
    """The value of an option such as ``source.path``."""
    value: Any = held
    for name in option.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    found = without_folders(option, value)
    return ", ".join(f"`{one}`" for one in (found if isinstance(found, list) else [found]) if one is not None)


def metrics_text(content: Mapping[str, Any], checkpoint: Path) -> str:
    """A table of the run's metrics at the checkpoint's step: of validation, and of the newest test."""
    found: dict[str, float] = {}
    if checkpoint.parent.name == CHECKPOINTS and "global_step" in content:
        run, last = checkpoint.parent.parent, content["global_step"] - 1  # a step is logged with its number from 0
        tests = sorted((run / "test").glob("*/metrics.csv"), key=lambda file: file.stat().st_mtime_ns)
        for file in (run / "metrics.csv", *tests):
            for name, points in read_metrics(file).items():
                if name.startswith(("val/", "test/")) and (at := [value for step, value in points if step == last]):
                    found[name] = at[-1]
    if not found:
        return "Unknown: no validation was made at its step, or it was exported apart from its run's folder."
    lines = [f"| `{name}` | {value:.6g} |" for name, value in sorted(found.items())]
    return "\n".join(["| metric | value |", "|---|---|", *lines])
