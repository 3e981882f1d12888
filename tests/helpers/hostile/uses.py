"""What is done with a checkpoint beside the command's trainings: its export folder, and its page of `seqlight try`."""

import functools
import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

from helpers.hostile.checkpoints import CHANGES, changed_bytes
from helpers.hostile.children import run_child
from helpers.hostile.files import SPOILERS, write_spoiled
from helpers.hostile.values import FLAG_VALUES

TEXTS = (
    "", " ", "\n", "\0", "a", "The fox", "é😀山", "\ud83d", "x" * 100_000, "0110", "[", "</script><b>", "\u202e", "$x$",
    "nan", "-1", "1,2,3", "\x1b[2J", "a b " * 3_000, "'; drop", *FLAG_VALUES,
)  # fmt: skip
NUMBERS = (None, 0, -1, 1, 0.5, 1e-300, 1e308, float("nan"), float("inf"), -float("inf"), 10**30, 2**63, "1", "", [1])
FORMS = {".mid": "midi", ".csv": "series", ".json": "chorales", ".tsv": "tsv"}  # of files, by their endings


def load(folder: str) -> None:
    """``seqlight.load`` as a command: one line and exit code 2 for what cannot be loaded."""
    import seqlight
    from seqlight.command.exit_codes import exit_codes

    with exit_codes():
        seqlight.load(folder)


def answer(path: Path, given: dict[str, Any]) -> None:
    """What the page of a checkpoint answers, as a command."""
    from seqlight.command.exit_codes import exit_codes
    from seqlight.web.face import check_given
    from seqlight.web.registry import face_at

    with exit_codes():
        face = face_at(path)
        check_given(face.fields, given)
        for _ in face.answer(**given):
            pass


@functools.cache
def exported(path: Path) -> Path:
    """The export folder of a checkpoint, made once."""
    folder = path.with_name("exported")
    outcome = run_child(["export", f"--ckpt_path={path}", f"--to={folder}"], path.parent)
    assert outcome.code == 0, outcome.said
    return folder


def write_spoiled_folder(source: Path, target: Path, rng: random.Random) -> str:
    """Writes a checkpoint's export folder of which one file was tampered with; how."""
    shutil.copytree(exported(source), target)
    file = target / rng.choice([file.name for file in sorted(target.iterdir()) if file.suffix not in (".md", ".yaml")])
    way = rng.choice(("tree", "tree", "tree", "bytes", "line", "kind", "size", "gone"))
    if way == "gone":
        file.unlink()
    elif way == "tree" and file.suffix == ".json":
        file.write_text(changed_json(file.read_text(), rng))
    elif way == "tree" and file.suffix == ".safetensors":
        content = file.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        header = changed_json(content[8 : 8 + length].decode(), rng).encode()
        file.write_bytes(
            struct.pack("<Q", rng.choice((len(header), len(header), 2**40))) + header + content[8 + length :]
        )
    elif way == "tree":
        file.write_bytes(changed_bytes(file.read_bytes(), rng))
    else:
        file.write_bytes(SPOILERS[way](file.read_bytes(), rng))
    return f"{file.name}: {way}"


def changed_json(text: str, rng: random.Random) -> str:
    """A JSON text with other values in it."""
    tree = json.loads(text)
    kinds = ("value", "value", "number", "entry gone", "entry added", "swapped")
    try:
        CHANGES[rng.choice(kinds)](tree, rng)
    except IndexError:  # there is no such place
        tree = {}
    return json.dumps(tree, default=str)


@functools.cache
def fields_of(path: Path) -> dict[str, Any]:
    """The fields of a checkpoint's page."""
    from seqlight.web.registry import face_at

    return dict(face_at(path).fields)


def draw_answers(path: Path, folder: Path, rng: random.Random) -> dict[str, Any]:
    """What somebody gives on a checkpoint's page: some of its fields hold what nobody expects there."""
    from seqlight.web.face import ChoiceField, FileField, NumberField, PlaneField, SliderField, TextField

    given: dict[str, Any] = {}
    for name, field in fields_of(path).items():
        hostile = rng.random() < 0.5
        match field:
            case TextField():
                given[name] = rng.choice(TEXTS) if hostile else field.value
            case SliderField(least=least, most=most):
                given[name] = rng.choice((least, most, *NUMBERS)) if hostile else min(field.value, 20)
            case NumberField():
                given[name] = rng.choice(NUMBERS) if hostile else field.value
            case ChoiceField():
                given[name] = rng.choice(("", "x", *field.choices)) if hostile else field.value
            case FileField(endings=endings):
                given[name] = None
                if hostile:
                    ending = rng.choice(endings)
                    write_spoiled(FORMS.get(ending, "csv"), folder / f"given{ending}", rng)
                    given[name] = str(folder / f"given{ending}")
            case PlaneField():
                pass
    return given
