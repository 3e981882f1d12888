"""A folder of files that one of several processes makes once, and that are made anew if they are damaged."""

import os
from collections.abc import Callable
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

from seqlight.core.files.digests import digest_of
from seqlight.core.files.paths import expanded
from seqlight.core.files.replacing import remove_parts, replacing
from seqlight.core.files.write_errors import writing


def cache_folder(given: str | None = None) -> Path:
    """The folder of cached files: ``given``, or ``seqlight`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if given is not None:
        return expanded(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seqlight"


def once(path: Path, write: Callable[[Path], None]) -> Path:
    """The file at ``path``, made by ``write`` if it is not there yet, or not as it was written.

    Of several processes one writes and the others wait. The file appears under its name complete or not at all. Its
    length and its SHA-256 lie beside it, as ``.NAME.sha256``; a log line names a file that they do not fit.

    Args:
        path: File to make; its folders are made too. Its name should contain all that its contents depend on.
        write: Writes the file to the path that it gets, a temporary one in the same folder.

    Raises:
        WritingError: The folder cannot be written to.
    """
    if is_whole(path):
        return path
    from filelock import FileLock

    with writing(path, "--data.cache_dir"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if is_whole(path):
                return path
            if path.exists():
                rank_zero_info(f"{path} is damaged, or of a version without checksums, and is made anew")
            remove_parts(path.parent)
            with replacing(path) as part:
                write(part)
                checksum = _checksum(part)
            with replacing(_beside(path)) as part:
                part.write_text(checksum)
    return path


def is_whole(path: Path) -> bool:
    """Whether a cached file is there, and as it was written."""
    beside = _beside(path)
    return path.is_file() and beside.is_file() and beside.read_bytes() == _checksum(path).encode()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def _checksum(path: Path) -> str:
    return f"{path.stat().st_size} {digest_of(path)}\n"
