"""Checkpoints that several processes wrote, each its own part into one folder, as one file that any process reads.

torch.distributed.checkpoint and Lightning's consolidate_checkpoint unpickle what a folder holds, which may run code.
Here only tensors and plain values are ever built.
"""

import math
import pickle
import warnings
from pathlib import Path
from typing import Any

from seqlight.core.checkpoint_file.checksum import is_whole
from seqlight.core.checkpoint_file.reading import read_plain
from seqlight.core.errors import UserError

INDEX, REST = ".metadata", "meta.pt"  # files of such a folder: what lies where; all but weights and optimiser
_TABLE = "torch.distributed.checkpoint.metadata"
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
# What an index may name; none of them does anything when it is built.
ALLOWED = {
    *((_TABLE, name) for name in ("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "StorageMeta")),
    *((_TABLE, name) for name in ("ChunkStorageMetadata", "TensorProperties", "MetadataIndex", "_MEM_FORMAT_ENCODING")),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),
    ("torch", "Size"),
    *(("torch", name) for name in _DTYPES),
}


class IndexUnpickler(pickle.Unpickler):
    """Reads an index, and refuses one that names anything else than torch's own tables."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name, if it is allowed."""
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


def is_sharded(path: Path) -> bool:
    """Whether a path is the folder of a checkpoint in parts."""
    return (path / INDEX).is_file()


def whole(path: Path) -> Path:
    """A checkpoint as one file: the path itself, or ``NAME-whole.ckpt`` beside a folder of parts, written if need be.

    Raises:
        UserError: The folder is damaged, or holds Python objects.
    """
    if not is_sharded(path):
        return path
    file = path.with_name(f"{path.stem}-whole.ckpt")
    if file.is_file() and file.stat().st_mtime_ns > (path / INDEX).stat().st_mtime_ns:
        return file

    from seqlight.run_files.atomic_checkpoint import write_checkpoint

    write_checkpoint(read_parts(path), file)  # several processes may do this at once
    return file


def read_parts(folder: Path) -> dict[str, Any]:
    """The contents of a checkpoint in parts, in the form of one process's checkpoint.

    Raises:
        UserError: The folder is damaged, or holds Python objects.
    """
    import torch
    from torch.distributed.checkpoint import FileSystemReader, load
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    from seq_modules.training.sharding import numbered

    class PlainPlanner(DefaultLoadPlanner):
        """torch's, which would unpickle any object among the values that are no tensors."""

        def load_bytes(self, read_item: Any, value: Any) -> None:
            self.state_dict[read_item.dest_index.fqn] = torch.load(value, weights_only=True)

    if not is_whole(folder):
        raise UserError(f"{folder}: damaged, for its checksum does not fit; use another, such as --ckpt_path last")
    try:
        with (folder / INDEX).open("rb") as file:
            index = IndexUnpickler(file).load()
        held = sum(file.stat().st_size for file in folder.iterdir())
        if sum(size_of(entry) for entry in index.state_dict_metadata.values()) > held:
            raise UserError(f"{folder}: its index names more weights than the folder holds; use another checkpoint")
        values: dict[str, Any] = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            if isinstance(entry, TensorStorageMetadata)
            else None
            for name, entry in index.state_dict_metadata.items()
        }
        planner = PlainPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # as no_dist says
            load(values, storage_reader=FileSystemReader(folder), planner=planner, no_dist=True)
        content = read_plain(folder / REST)
        for name, place in index.planner_data.items():
            put(content, place, values[name])
        states = [content.pop(key) for key in sorted(key for key in content if key.startswith("optimizer_"))]
        content["optimizer_states"] = [numbered(in_lists(state)) for state in states]
    except (CheckpointException, pickle.UnpicklingError, OSError, RuntimeError, AttributeError, LookupError) as error:
        if "is not allowed" in str(error) or "Weights only" in str(error):
            raise UserError(f"{folder}: holds Python objects, which could run code, and is not loaded") from error
        raise UserError(f"{folder}: a damaged checkpoint; use another, such as --ckpt_path last") from error
    return content


def size_of(entry: Any) -> int:
    """Bytes of a tensor that an index lists; 0 for other values."""
    properties = getattr(entry, "properties", None)
    return 0 if properties is None else math.prod(entry.size) * properties.dtype.itemsize


def put(tree: dict[Any, Any], place: tuple[Any, ...], value: Any) -> None:
    """Puts a value at its place in nested dicts, which are made as needed."""
    *path, last = place
    for key in path:
        tree = tree.setdefault(key, {})
    tree[last] = value


def in_lists(state: dict[str, Any]) -> dict[str, Any]:
    """An optimiser's state whose parameter groups, numbered by the index, are a list."""
    groups = state["param_groups"]
    return {"state": state.get("state", {}), "param_groups": [groups[number] for number in sorted(groups)]}
