"""A trained module as a folder that can be given away: weights as safetensors, all else as JSON, nothing to execute.

- ``model.safetensors``: the weights. One that has a second name is there once, and the file's metadata has the name.
- ``config.json``: the classes of the model and of its data, with their hyperparameters.
- ``tokenizer_state.json``: the tokenizer, if there is one. A SentencePiece model in it is a file of its own.
- ``training.yaml`` and ``README.md``: the run's settings and the model card, of :mod:`seqlight.export.model_card`.

Reading gives what a checkpoint of weights alone holds, and it is checked as a checkpoint is.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlight.checkpoints import is_plain
from seqlight.core.checkpoint_file.reading import checked
from seqlight.core.checkpoint_file.tree import TreeError, check_tree
from seqlight.core.errors import UserError, reason_of

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer_state.json"
FORMAT = {"format": "seqlight", "format_version": 1}
KEPT = (
    "pytorch-lightning_version", "epoch", "global_step", "hyper_parameters", "datamodule_hyper_parameters",
    "class_names", "tokenizer_fingerprint", "data_files",
)  # fmt: skip
PLACES = ("path", "dir", "vectors", "pretrained")  # ends of the names of arguments that are files or folders
MODEL_FILE = re.compile(r"tokenizer(\.\w+)*\.model")
ALIASES = "aliases"  # entry of the weights' metadata


def write(content: Mapping[str, Any], folder: Path) -> None:
    """Writes weights, config and tokenizer of a checkpoint's contents into an empty folder."""
    write_weights(content["state_dict"], folder / WEIGHTS)
    write_json({**FORMAT, **description(content)}, folder / CONFIG)
    shutil.copymode(folder / CONFIG, folder / WEIGHTS)  # safetensors gives nobody else the right to read
    if "tokenizer" in content:
        write_tokenizer(content["tokenizer"], folder)


def description(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its model and of its data, as plain data without places of this machine."""
    kept = {name: content[name] for name in KEPT if name in content}
    for name in ("hyper_parameters", "datamodule_hyper_parameters"):
        if name in kept:
            kept[name] = hyperparameters(kept[name])
    return kept


def read(folder: Path) -> dict[str, Any]:
    """The contents of a folder in the form of a checkpoint's, checked entry by entry.

    Raises:
        UserError: It is no such folder, a file is damaged, or an entry is of another kind than it must be.
    """
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("format") != FORMAT["format"]:
        raise UserError(f"{folder / CONFIG}: not of `seqlight export` (no entry format: seqlight)")
    if config.get("format_version") != FORMAT["format_version"]:
        raise UserError(
            f"{folder / CONFIG}: its format_version is {config.get('format_version')!r}, and this program reads "
            f"{FORMAT['format_version']}; update seqlight, or export the checkpoint again"
        )
    content = {name: config[name] for name in KEPT if name in config}
    content["state_dict"] = read_weights(folder / WEIGHTS)
    if (folder / TOKENIZER).exists():
        content["tokenizer"] = with_files(read_json(folder / TOKENIZER), folder)
    return checked(content, folder / CONFIG)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder that looks like one of :func:`write`."""
    return (path / WEIGHTS).is_file() and (path / CONFIG).is_file()


def hyperparameters(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The plain ones of a class. Of files on this machine only the names stay, without their folders."""
    return {
        name: without_folders(name, value)
        for name, value in saved.items()
        if is_plain(value) and name not in ("_instantiator", "cache_dir")
    }


def without_folders(name: str, value: Any) -> Any:
    """A value in which absolute paths of files have lost their folders."""
    if isinstance(value, dict):
        return {inner: without_folders(inner, held) for inner, held in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(name, held) for held in value]
    is_place = isinstance(value, str) and name.endswith(PLACES) and (Path(value).is_absolute() or value[:1] == "~")
    return Path(value).name if is_place else value


def place_of(weight: Any) -> tuple[Any, ...]:
    """What the tensors of one weight have in common, whatever their names."""
    return weight.untyped_storage().data_ptr(), weight.storage_offset(), weight.shape, weight.stride(), weight.dtype


def write_weights(weights: Mapping[str, Any], path: Path) -> None:
    """Writes a state dict; weights that are one tensor under several names are written once."""
    from safetensors.torch import save_file

    first: dict[Any, str] = {}
    aliases, kept = {}, {}
    for name, value in weights.items():
        same = place_of(value)
        if value.numel() and first.setdefault(same, name) != name:
            aliases[name] = first[same]
        else:
            kept[name] = value.detach().contiguous().clone()  # safetensors writes no two parts of one storage
    save_file(kept, path, metadata={"format": "pt", ALIASES: json.dumps(aliases)})


def read_weights(path: Path) -> dict[str, Any]:
    """The state dict of :func:`write_weights`.

    Raises:
        UserError: It is no safetensors file, or a damaged one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            aliases = json.loads((file.metadata() or {}).get(ALIASES, "{}"))
        return weights | {name: weights[held] for name, held in aliases.items()}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path}: not a safetensors file of `seqlight export`, or damaged: {reason_of(error)}"
        ) from error


def write_tokenizer(state: Mapping[str, Any], folder: Path) -> None:
    """Writes a tokenizer's state; bytes in it become files, which the program they are from can read by itself."""

    def without_bytes(value: Any, place: str) -> Any:
        if isinstance(value, bytes):
            name = f"tokenizer{place}.model"
            (folder / name).write_bytes(value)
            return {"file": name}
        if isinstance(value, dict):
            inner = {name: "" if isinstance(held, bytes) else f".{name}" for name, held in value.items()}
            return {name: without_bytes(held, f"{place}{inner[name]}") for name, held in value.items()}
        return value

    write_json(without_bytes(dict(state), ""), folder / TOKENIZER)


def with_files(value: Any, folder: Path) -> Any:
    """A tokenizer's state with the contents of its files.

    Raises:
        UserError: A name is none that :func:`write_tokenizer` gives.
    """
    if not isinstance(value, dict):
        return value
    if set(value) == {"file"}:
        if not isinstance(name := value["file"], str) or not MODEL_FILE.fullmatch(name):
            raise UserError(f"{folder / TOKENIZER}: {name!r} is no name of a tokenizer's file")
        return (folder / name).read_bytes()
    return {name: with_files(held, folder) for name, held in value.items()}


def write_json(value: Any, path: Path) -> None:
    """Writes plain data."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", errors="surrogatepass")


def read_json(path: Path) -> Any:
    """Plain data, neither nested too deep nor with numbers too long.

    Raises:
        UserError: It is no JSON.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="surrogatepass")
        found = json.loads(text)
        check_tree(found, len(text) + 1)
    except (ValueError, RecursionError, TreeError) as error:
        raise UserError(f"{path}: not JSON of `seqlight export`, or damaged: {reason_of(error)}") from error
    return found
