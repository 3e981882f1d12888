"""A folder of files that one of several processes makes once."""

import os
from collections.abc import Callable
from pathlib import Path

from seqlight.core.errors import UserError


def cache_folder(given: str | None = None) -> Path:
    """The folder of cached files: ``given``, or ``seqlight`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if given is not None:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seqlight"


def once(path: Path, write: Callable[[Path], None]) -> Path:
    """The file at ``path``, made by ``write`` if it is not there yet.

    Of several processes one writes and the others wait. The file appears under its name complete or not at all.

    Args:
        path: File to make; its folders are made too. Its name should contain all that its contents depend on.
        write: Writes the file to the path that it gets, a temporary one in the same folder.

    Raises:
        UserError: The folder cannot be written to.
    """
    if path.exists():
        return path
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire()
    except OSError as error:
        raise UserError(f"cache_dir {path.parent} cannot be written ({error}); give --data.cache_dir") from error
    try:
        if not path.exists():
            unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            try:
                write(unfinished)
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
    finally:
        lock.release()
    return path
