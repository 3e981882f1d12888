"""Paths as a person writes them."""

from pathlib import Path

from seqlight.core.errors import UserError


def expanded(path: str | Path) -> Path:
    """A path with the home folder in place of ``~`` or ``~user``.

    Raises:
        UserError: There is no user of that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: this machine has no user of that name; give the path without ~") from error
