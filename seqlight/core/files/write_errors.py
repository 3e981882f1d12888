"""What could not be written, as one line that names the path, the reason and the remedy."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from seqlight.core.errors import WritingError, reason_of
from seqlight.core.files.replacing import part_of

FULL = (errno.ENOSPC, errno.EDQUOT)
FAILED = (*FULL, errno.EROFS, errno.EFBIG, errno.EIO)  # nothing but writing ends in these, or a broken disk
REFUSED = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EEXIST)  # reading ends in these too
OF_RUST = re.compile(r"I/O error: .*\(os error (\d+)\)")
OF_TORCH = ("PytorchStreamWriter", "inline_container", "Parent directory", "cannot be opened")
NEEDED = 2**20  # free bytes below which a disk is taken for full


@contextlib.contextmanager
def writing(path: Path, option: str | None = "--trainer.default_root_dir") -> Iterator[None]:
    """Raises WritingError for what could not be written to a file or folder, or below it.

    Args:
        path: The file or folder that errors without a name of their own are about.
        option: The option that names another place; None if that is the working directory.
    """
    try:
        yield
    except OSError as error:
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        if error.errno in FAILED or (error.errno in REFUSED and named is not None and _is_near(named, path)):
            is_part = named is None or named.absolute() == part_of(path.absolute())
            raise WritingError(line(path if is_part else named, error, option)) from error  # type: ignore[arg-type]
        raise
    except Exception as error:
        if number := OF_RUST.search(str(error)):  # safetensors' own
            raise WritingError(line(path, OSError(int(number[1]), ""), option)) from error
        if isinstance(error, RuntimeError) and any(words in str(error) for words in OF_TORCH):  # torch.save's own
            raise WritingError(line(path, error, option)) from error
        raise


def _is_near(named: Path, path: Path) -> bool:
    """Whether a path lies in the folder of another one, or is a folder on the way to it."""
    folder, found = path.absolute().parent, named.absolute()
    return found.is_relative_to(folder) or folder.is_relative_to(found)


def line(path: Path, error: Exception, option: str | None) -> str:
    """The message about a path that could not be written; see :func:`writing`."""
    number = error.errno if isinstance(error, OSError) else _likely_number(path)
    folder = f"give another folder by {option}" if option else "run the command in another folder"
    remedy = {
        errno.EROFS: f"its disk is read-only; {folder}",
        errno.EACCES: f"make it writable, or {folder}",
        errno.EPERM: f"make it writable, or {folder}",
        errno.ENOENT: "its folder is gone; make it again and repeat the command",
        errno.ENOTDIR: f"a file is in the place of a folder; {folder}",
        errno.EEXIST: f"a file is in the place of a folder; {folder}",
        errno.EFBIG: "a limit on the size of files (ulimit -f) is too low",
    }.get(number or 0, f"free some space, or {folder}")
    reason = os.strerror(number) if number else reason_of(error)
    return f"{path} cannot be written ({reason}); {remedy}. Files that were complete before are as they were"


def _likely_number(path: Path) -> int | None:
    """What kept torch.save from writing, which does not say it."""
    folder = path.parent
    if not folder.is_dir():
        return errno.ENOENT
    if not os.access(folder, os.W_OK):
        is_read_only = hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY  # Windows cannot say
        return errno.EROFS if is_read_only else errno.EACCES
    return errno.ENOSPC if shutil.disk_usage(folder).free < NEEDED else None
