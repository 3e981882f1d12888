"""Which pieces are trained on: a split by whole pieces, so that no window of one is on both sides."""

import hashlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from datamodules.music.notes import Piece

Splits = dict[str, list[Piece]]  # train, val and test


def split_pieces(pieces: Sequence[Piece], val_share: float, test_share: float, seed: int) -> Splits:
    """Train, validation and test pieces by shares.

    A piece's place is decided by its name and the seed alone, so that a piece more in the folder moves at most one
    other from one side to another.

    Args:
        pieces: All, with names that differ.
        val_share: Share of the pieces for validation, rounded, at least one.
        test_share: Share for the test, likewise; 0 for none, and the test uses the validation pieces.
        seed: Of the split.

    Raises:
        ValueError: The shares leave nothing to train on.
    """
    order = sorted(pieces, key=lambda piece: hashlib.sha256(f"{seed}:{piece.name}".encode()).digest())
    vals = max(1, round(val_share * len(order)))
    tests = max(1, round(test_share * len(order))) if test_share else 0
    if vals + tests >= len(order):
        raise ValueError(
            f"val_share {val_share} and test_share {test_share} leave none of {len(order)} pieces to train on; give "
            "more pieces or smaller shares"
        )
    val, test, train = order[:vals], order[vals : vals + tests], order[vals + tests :]
    return _in_order(pieces, {"train": train, "val": val, "test": test or val})


def hold_out(pieces: Sequence[Piece], pattern: str, val_share: float, seed: int) -> Splits:
    """The pieces that fit a pattern for the test; of the others a share validates, so that no test chooses its model.

    Args:
        pieces: All.
        pattern: Of names (``bwv1010*``) or of paths within the folder (``suite4/*``), where ``*`` is anything.
        val_share: See :func:`split_pieces`; of the others.
        seed: See :func:`split_pieces`.

    Raises:
        ValueError: None fits, or all do, or too few are left.
    """
    held = [piece for piece in pieces if _fits(piece.name, pattern)]
    if not held:
        raise ValueError(f"held_out {pattern}: no piece has such a name; they are called like {pieces[0].name}")
    if len(held) == len(pieces):
        raise ValueError(f"held_out {pattern}: every piece has such a name, and none is left to train on")
    rest = [piece for piece in pieces if not _fits(piece.name, pattern)]
    return split_pieces(rest, val_share, 0, seed) | {"test": held}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(PurePosixPath(name).name, pattern)


def _in_order(pieces: Sequence[Piece], splits: Splits) -> Splits:
    place = {piece.name: number for number, piece in enumerate(pieces)}
    return {name: sorted(part, key=lambda piece: place[piece.name]) for name, part in splits.items()}
