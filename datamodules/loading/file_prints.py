"""What the files hold that a datamodule's options name, as a few digits for the checkpoint."""

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlight.core.checkpoint_file.changes import UNUSED, flat
from seqlight.core.files.digests import digest_of_all
from seqlight.core.files.paths import expanded


def file_prints(arguments: Mapping[str, Any]) -> dict[str, str]:
    """12 hex digits for each option that names files, such as ``path``: of the contents of those files.

    Args:
        arguments: The datamodule's, groups as dicts. Options that only prediction reads are left out.
    """
    found = {}
    for name, value in flat(arguments):
        if name.endswith("path") and UNUSED.isdisjoint(name.split(".")) and (files := files_of(value)):
            found[name] = digest_of_all(files)
    return found


def files_of(value: Any) -> list[Path]:
    """The files that an option's value means: a file, all files below a folder, a pattern, or a list of such."""
    files: list[Path] = []
    for entry in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        path = expanded(str(entry))
        if path.is_dir():
            below = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
            files += [path / file for file in below if not any(part.startswith(".") for part in file.parts)]
        elif path.is_file():
            files.append(path)
        else:
            files += [Path(file) for file in sorted(glob.glob(str(path), recursive=True)) if Path(file).is_file()]  # noqa: PTH207  relative patterns
    return [file.resolve() for file in files]
