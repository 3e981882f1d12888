"""Files that are replaced in one step: a process that is killed while it writes leaves the earlier file, and a part.

A part is a hidden file beside the file it is to become. It bears the name of its machine and the number of its process,
by which a later process recognises those that nobody will complete.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil


def part_of(path: Path) -> Path:
    """Where this process writes what is to become a file, or a folder."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the part to write to; what is there takes the file's place when the block ends without an error.

    Args:
        path: The file to write. Its folder must be there.
    """
    part = part_of(path)
    try:
        yield part
        if part.is_file():
            to_disk(part)
        part.replace(path)
    finally:
        remove(part)


def to_disk(file: Path) -> None:
    """Brings a file's contents to the disk, which its name must not reach before them."""
    with file.open("r+b") as held:  # Windows brings only what may be written
        os.fsync(held.fileno())


def remove(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_parts(folder: Path, below: bool = False) -> None:
    """Removes the parts in a folder whose processes have ended, as far as that can be known on this machine.

    Args:
        folder: The folder; it need not be there.
        below: Whether to look in the folders below it too.
    """
    for part in [*(folder.rglob if below else folder.glob)(".*.part")]:
        name, _, process = part.name.removesuffix(".part").rpartition("-")
        if name.endswith(f".{socket.gethostname()}") and process.isdigit() and not is_alive(int(process)):
            with contextlib.suppress(OSError):
                remove(part)


def is_alive(process: int) -> bool:
    """Whether a process of this machine runs, as far as can be known."""
    try:
        return bool(psutil.pid_exists(process))
    except OverflowError:  # no number of a process
        return True
