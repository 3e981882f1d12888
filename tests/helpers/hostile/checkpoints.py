"""Checkpoints that were tampered with: values, entries, bytes and pickles."""

import copy
import io
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.hostile.children import CANARY
from helpers.hostile.values import hostile_value

Place = tuple[Any, Any]  # a container, and a key of it


def places(tree: Any) -> list[tuple[int, Place]]:
    """Every place of a tree with its depth."""
    found: list[tuple[int, Place]] = []
    todo: list[tuple[int, Any]] = [(0, tree)]
    while todo:
        depth, node = todo.pop()
        pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        for key, value in pairs:
            if isinstance(node, dict | list):
                found.append((depth, (node, key)))
            if isinstance(value, dict | list | tuple):
                todo.append((depth + 1, value))
    return found


def pick(tree: Any, rng: random.Random) -> Place:
    """A place of the tree; each depth is as likely as another, since most places are deep."""
    by_depth: dict[int, list[Place]] = {}
    for depth, place in places(tree):
        by_depth.setdefault(depth, []).append(place)
    return rng.choice(by_depth[rng.choice(sorted(by_depth))])


def other_value(tree: Any, rng: random.Random) -> None:
    """Another value at one to three places."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        node, key = pick(tree, rng)
        node[key] = hostile_value(rng)


def other_number(tree: Any, rng: random.Random) -> None:
    """Another number where one stands."""
    numbers = [
        (node, key)
        for _, (node, key) in places(tree)
        if isinstance(node[key], int | float) and not isinstance(node[key], bool)
    ]
    node, key = rng.choice(numbers)
    node[key] = rng.choice((0, -1, 1, 3, 10**6, 10**9, 2**62, 2**63, 10**30, 0.5, -1.5, float("nan"), float("inf")))


def missing(tree: Any, rng: random.Random) -> None:
    """An entry is gone."""
    node, key = pick(tree, rng)
    del node[key]


def added(tree: Any, rng: random.Random) -> None:
    """An entry too many."""
    node, _ = pick(tree, rng)
    if isinstance(node, dict):
        node[rng.choice(("class_path", "__class__", "x", 3, "", "optimizer", "dict_kwargs"))] = hostile_value(rng)
    else:
        node.append(hostile_value(rng))


def swapped(tree: Any, rng: random.Random) -> None:
    """Two values changed places."""
    (node, key), (other, place) = pick(tree, rng), pick(tree, rng)
    node[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(node[key])


def looped(tree: Any, rng: random.Random) -> None:
    """A list that holds itself, or doubles at each of forty levels."""
    node, key = pick(tree, rng)
    value: Any = []
    if rng.random() < 0.5:
        value.append(value)
    for _ in range(40):
        value = [value, value] if rng.random() < 0.9 else {"a": value, "b": value}
    node[key] = value


def called(tree: Any, rng: random.Random) -> None:
    """A class path that only a person's recipe may name."""
    config = tree.get("config") or {}
    trainer = config.get("trainer") or {}
    own = f"{CANARY}.Canary"
    match rng.randrange(5):
        case 0:
            tree.setdefault("hyper_parameters", {})["_class_path"] = rng.choice((own, "torch.nn.Linear", "os.system"))
        case 1:
            trainer["callbacks"] = [{"class_path": own, "init_args": {}}]
        case 2:
            trainer["profiler"] = {"class_path": "lightning.pytorch.profilers.SimpleProfiler",
                                   "init_args": {"dirpath": "/tmp", "filename": CANARY}}  # fmt: skip
        case 3:
            trainer["logger"] = [{"class_path": "lightning.pytorch.loggers.CSVLogger",
                                  "init_args": {"save_dir": f"/tmp/{CANARY}"}}]  # fmt: skip
        case _:
            trainer["strategy"] = rng.choice((own, f"{CANARY}.Strategy", "ddp_spawn"))


CHANGES: dict[str, Callable[[Any, random.Random], None]] = {
    "value": other_value,
    "number": other_number,
    "entry gone": missing,
    "entry added": added,
    "swapped": swapped,
    "loop": looped,
    "class path": called,
}


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flipped bits, a hole, a cut, or a piece that stands twice."""
    data = bytearray(content)
    at = rng.randrange(len(data))
    match rng.randrange(5):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 2:
            length = min(rng.randrange(1, 5000), len(data) - at)
            data[at : at + length] = bytes(length)
        case 3:
            del data[at:]
        case _:
            data[at:at] = data[at : at + 2000]
    return bytes(data)


HUGE = struct.pack("<I", 2**32 - 1)
TEXT = b"X\x01\x00\x00\x00a"
PICKLES = {
    "system": b"\x80\x02cposix\nsystem\nX\x0e\x00\x00\x00touch executed\x85R.",
    "import": f"\x80\x02c{CANARY}\nCanary\n)R.".encode(),
    "bytearray": b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
    "long text": b"\x80\x02X" + HUGE + b"a.",
    "memo": b"\x80\x02]r" + HUGE + b".",
    "deep list": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    "deep tuple": b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"Ns.",
    "hex": b"\x80\x02" + TEXT + b"q\x00" + b"0c_codecs\nencode\nh\x00X\x03\x00\x00\x00hex\x86R." ,
    "set": b"\x80\x02c__builtin__\nset\n]" + TEXT + b"a\x85R.",
    "no mark": b"\x80\x02Nu.",
    "nothing": b"",
    "stop": b".",
    "tensor": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storageq\x00ctorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00J\xff\xff\xff\x7f\x85K\x00\x85\x89ccollections\n"
    b"OrderedDict\n)RtR.",
}  # fmt: skip


def pickled(content: bytes, rng: random.Random) -> bytes:
    """The file with another pickle in it."""
    return replaced_pickle(content, PICKLES[rng.choice(sorted(PICKLES))])


def replaced_pickle(content: bytes, pickle: bytes) -> bytes:
    """A file of torch.save whose ``data.pkl`` is another."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, pickle if name.endswith("data.pkl") else old.read(name))
    return made.getvalue()


def write_changed(source: Path, target: Path, rng: random.Random) -> str:
    """Writes a checkpoint that was tampered with; which kind of change it was."""
    import torch

    kind = rng.choice((*CHANGES, "value", "value", "number", "entry gone", "bytes", "pickle"))
    if kind in CHANGES:
        tree = torch.load(source, weights_only=True)
        CHANGES[kind](tree, rng)
        torch.save(tree, target)
    else:
        target.write_bytes({"bytes": changed_bytes, "pickle": pickled}[kind](source.read_bytes(), rng))
    return kind
