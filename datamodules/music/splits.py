"""Splits by whole pieces, so that no piece has windows in two splits.

Pieces that are the same music (kinship.py) are in the same split.
"""

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from seqlight.core.errors import UserError
from seqlight.music.notes import Piece

Splits = dict[str, list[Piece]]  # train, val and test


def split_pieces(
    pieces: Sequence[Piece], val_fraction: float, test_fraction: float, seed: int, kin: Sequence[int] | None = None
) -> Splits:
    """Train, validation and test pieces by fractions.

    The order of the pieces depends only on their names (of a family: on its first name) and the seed. One more piece in
    the folder therefore moves at most one other piece between splits. A family that does not fit into what is left of
    the validation or test split is skipped, so that large families are trained on.

    Args:
        pieces: All pieces, with distinct names.
        val_fraction: Fraction of the pieces for validation, rounded, at least one.
        test_fraction: Fraction for the test, likewise; 0 for none, and the test uses the validation pieces.
        seed: Of the split.
        kin: Family number of each piece; a family stays together. Default: each piece is a family of its own.

    Raises:
        UserError: The fractions leave nothing to train on, or there are too few families.
    """
    families: dict[int, list[int]] = {}
    for number, family in enumerate(range(len(pieces)) if kin is None else kin):
        families.setdefault(family, []).append(number)
    order = sorted(families.values(), key=lambda numbers: _sort_key(min(pieces[n].name for n in numbers), seed))
    vals = max(1, round(val_fraction * len(pieces)))
    tests = max(1, round(test_fraction * len(pieces))) if test_fraction else 0
    if vals + tests >= len(pieces):
        raise UserError(
            f"split.val_fraction {val_fraction} and split.test_fraction {test_fraction} leave none of {len(pieces)} "
            "pieces to train on; give more pieces or smaller fractions"
        )
    val, order = _taken(order, vals)
    test, order = _taken(order, tests)
    if not order:
        raise UserError(
            f"split.val_fraction {val_fraction} and split.test_fraction {test_fraction} leave nothing to train on, as "
            f"{len(pieces)} pieces are {len(families)} different ones, the others copies or settings of them; give "
            "more pieces"
        )
    numbers = {"train": [n for family in order for n in family], "val": val, "test": test or val}
    return {name: [pieces[number] for number in sorted(part)] for name, part in numbers.items()}


def _sort_key(name: str, seed: int) -> bytes:
    """Sort key of a name, pseudo-random and fixed by the seed."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def _taken(order: list[list[int]], size: int) -> tuple[list[int], list[list[int]]]:
    """The pieces of the first families that fit into ``size`` (the smallest family if none fits), and the others."""
    found: list[int] = []
    left: list[list[int]] = []
    for family in order:
        if len(found) + len(family) <= size:
            found += family
        else:
            left.append(family)
    if size and not found and left:
        found = left.pop(left.index(min(left, key=len)))
    return found, left


def hold_out(
    pieces: Sequence[Piece], pattern: str, val_fraction: float, seed: int, kin: Sequence[int] | None = None
) -> Splits:
    """Splits by name: the pieces that match a pattern are the test, and a fraction of the others is for validation.

    Other pieces of a held-out piece's family are in no split, since training on them would reveal the test pieces.

    Args:
        pieces: All pieces.
        pattern: Pattern of names (``bwv1010*``) or of paths within the folder (``suite4/*``); ``*`` matches anything.
        val_fraction: Fraction of the other pieces for validation; see :func:`split_pieces`.
        seed: See :func:`split_pieces`.
        kin: See :func:`split_pieces`.

    Raises:
        UserError: No piece matches, all do, or too few are left.
    """
    kin = range(len(pieces)) if kin is None else kin
    held = [number for number, piece in enumerate(pieces) if _fits(piece.name, pattern)]
    if not held:
        raise UserError(f"split.held_out {pattern}: no piece has such a name; they are called like {pieces[0].name}")
    if len(held) == len(pieces):
        raise UserError(f"split.held_out {pattern}: every piece has such a name, and none is left to train on")
    known = {kin[number] for number in held}
    rest = [number for number in range(len(pieces)) if kin[number] not in known]
    if not rest:
        raise UserError(f"split.held_out {pattern}: all other pieces are copies or settings of those, and none is left")
    others = split_pieces([pieces[n] for n in rest], val_fraction, 0, seed, [kin[n] for n in rest])
    return others | {"test": [pieces[number] for number in held]}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(PurePosixPath(name).name, pattern)
