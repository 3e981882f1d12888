"""Splits by piece: stable, disjoint, of the size asked for; a suite held out by name."""

import pytest

from datamodules.music.etudes import etudes
from datamodules.music.notes import Note, Piece
from datamodules.music.splits import hold_out, split_pieces

SUITES = [Piece(f"public-domain/suite{s}-{m}", (Note(0, 60, 24),)) for s in range(1, 7) for m in range(1, 5)]


def names(pieces: list[Piece]) -> set[str]:
    return {piece.name for piece in pieces}


def test_every_piece_is_on_one_side() -> None:
    splits = split_pieces(SUITES, 0.2, 0.1, seed=0)
    assert [len(splits[name]) for name in ("train", "val", "test")] == [17, 5, 2]
    assert names(splits["train"]) | names(splits["val"]) | names(splits["test"]) == names(SUITES)
    assert splits["train"] == [piece for piece in SUITES if piece in splits["train"]]
    assert split_pieces(SUITES[::-1], 0.2, 0.1, seed=0)["val"] == splits["val"][::-1]
    assert split_pieces(SUITES, 0.2, 0.1, seed=1)["val"] != splits["val"]


def test_without_a_share_the_test_uses_the_validation_pieces() -> None:
    splits = split_pieces(SUITES, 0.01, 0, seed=0)
    assert splits["test"] == splits["val"]
    assert len(splits["val"]) == 1


def test_a_piece_more_moves_no_training_piece_into_the_test() -> None:
    before, after = (split_pieces(some, 0.1, 0.1, seed=4) for some in (SUITES, [*SUITES, *etudes(1, 0)]))
    for name in ("val", "test"):
        assert len(names(after[name]) - names(before[name])) <= 1


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^val_share 0\.1 and test_share 0\.1 leave none of 2 pieces"):
        split_pieces(SUITES[:2], 0.1, 0.1, seed=0)
    assert len(split_pieces(SUITES[:2], 0.1, 0, seed=0)["train"]) == 1


def test_a_suite_is_held_out_by_name_or_path() -> None:
    for pattern in ("suite4-*", "*/suite4*"):
        splits = hold_out(SUITES, pattern, 0.1, seed=0)
        held = {f"public-domain/suite4-{m}" for m in range(1, 5)}
        assert names(splits["test"]) == held
        assert len(splits["val"]) == 2  # chosen among the others
        assert len(splits["train"]) == 18
        assert names(splits["train"]) | names(splits["val"]) == names(SUITES) - held
    with pytest.raises(
        ValueError, match=r"^held_out suite9: no piece has such a name; they are called like public-domain/"
    ):
        hold_out(SUITES, "suite9", 0.1, seed=0)
    with pytest.raises(ValueError, match="none is left to train on"):
        hold_out(SUITES, "*suite*", 0.1, seed=0)
