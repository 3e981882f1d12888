"""A folder that is written whole or not at all, and never over another one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.files.replacing import remove_parts, replacing, to_disk
from seqlight.core.files.write_errors import writing


@contextlib.contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """Gives a hidden folder beside the target, which takes the target's place when the block ends without an error.

    Args:
        target: A folder that does not exist or is empty.

    Raises:
        UserError: There is something in the target's place, or it is the working directory.
        WritingError: It cannot be written.
    """
    target = expanded(target).absolute()
    if target.resolve() == Path.cwd():
        raise UserError("--to names the working directory; give a new folder in it, such as --to export")
    refuse_full(target)
    with writing(target, "--to"):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(target.parent)
        with replacing(target) as part:
            part.mkdir()
            yield part
            for file in part.iterdir():
                to_disk(file)
            refuse_full(target)
            if target.is_dir():
                target.rmdir()  # an empty folder, which some systems do not replace


def refuse_full(target: Path) -> None:
    """Refuses a file, and a folder that holds anything.

    Raises:
        UserError: It is one.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UserError(f"--to {target}: is there already, and no folder; name a new folder")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"--to {target}: has files in it, which are never overwritten; name a new or an empty folder")
