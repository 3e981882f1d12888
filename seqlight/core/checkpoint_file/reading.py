"""Reads a checkpoint's file, whole and checked."""

import pickle
from pathlib import Path
from typing import Any

from seqlight.core.checkpoint_file.checksum import is_whole
from seqlight.core.checkpoint_file.kinds import MisfitError
from seqlight.core.checkpoint_file.outline import DAMAGED, UnsafeFileError, check_outline
from seqlight.core.checkpoint_file.schema import check_schema
from seqlight.core.errors import UserError


def read_plain(path: str | Path) -> Any:
    """The contents of a file of ``torch.save``: tensors and plain values, no larger than the file says.

    Tensors are mapped from the file, not copied.

    Raises:
        UserError: It is no such file, damaged, or holds anything else.
    """
    import torch

    try:
        if not is_whole(Path(path)):
            raise UnsafeFileError("is damaged, for its checksum does not fit")
        check_outline(Path(path))
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnsafeFileError as error:
        raise UserError(f"{path}: {error}, and is not loaded; use another, such as --ckpt_path last") from error
    except (pickle.UnpicklingError, *DAMAGED) as error:
        raise UserError(f"{path}: not a checkpoint, or a damaged one; use another, such as --ckpt_path last") from error


def checked(content: Any, path: str | Path) -> dict[str, Any]:
    """A checkpoint's contents, each entry of which is of the kind that it must be.

    Raises:
        UserError: One is not; the message names it.
    """
    if not isinstance(content, dict) or "state_dict" not in content or "pytorch-lightning_version" not in content:
        raise UserError(f"{path}: not a Lightning checkpoint (no weights with their version in it)")
    try:
        check_schema(content)
    except MisfitError as error:
        raise UserError(f"{path}: not a seqlight checkpoint, or a damaged one: {error}") from error
    return content


def read_file(path: str | Path) -> dict[str, Any]:
    """As :func:`read_plain` and :func:`checked`."""
    return checked(read_plain(path), path)
