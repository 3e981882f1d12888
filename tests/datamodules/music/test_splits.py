"""Splits by piece: stable, disjoint, of the size asked for; a suite held out by name."""

import pytest

from datamodules.music.sources.etudes import etudes
from datamodules.music.splits import hold_out, split_pieces
from seqlight.music.notes import Note, Piece

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
    with pytest.raises(ValueError, match=r"^split.val_fraction 0\.1 and split.test_fraction 0\.1 leave none"):
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
        ValueError, match=r"^split.held_out suite9: no piece has such a name; they are called like public-domain/"
    ):
        hold_out(SUITES, "suite9", 0.1, seed=0)
    with pytest.raises(ValueError, match="none is left to train on"):
        hold_out(SUITES, "*suite*", 0.1, seed=0)


def test_families_are_not_divided_and_sizes_are_kept() -> None:
    kin = [number - number % 3 for number in range(24)]  # eight families of three
    seen = set()
    for seed in range(8):
        splits = split_pieces(SUITES, 0.2, 0.15, seed, kin)
        assert [len(splits[name]) for name in ("train", "val", "test")] == [18, 3, 3]  # of 5 and 4 asked for
        sides = [{kin[SUITES.index(piece)] for piece in part} for part in splits.values()]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 8
        seen |= sides[1]
    assert len(seen) > 3


def test_a_family_too_large_for_a_split_is_trained_on_unless_all_are() -> None:
    kin = [0] * 20 + [20, 21, 22, 23]
    for seed in range(8):
        splits = split_pieces(SUITES, 0.05, 0.05, seed, kin)
        assert names(SUITES[:20]) < names(splits["train"])
    pairs = [number - number % 2 for number in range(24)]
    splits = split_pieces(SUITES, 0.01, 0, 0, pairs)
    assert len(splits["val"]) == 2  # more than was asked for
    with pytest.raises(ValueError, match=r"^split.val_fraction .*, as 24 pieces are 1 different ones"):
        split_pieces(SUITES, 0.1, 0, 0, [0] * 24)
    with pytest.raises(ValueError, match=r"^split.val_fraction .*, as 24 pieces are 2 different ones"):
        split_pieces(SUITES, 0.1, 0.1, 0, [0] * 12 + [12] * 12)


def test_kin_of_a_held_out_piece_are_in_no_split() -> None:
    kin = list(range(24))
    kin[20] = 0  # suite 6 has a piece of suite 1 again
    splits = hold_out(SUITES, "suite1-*", 0.1, 0, kin)
    used = [piece for part in splits.values() for piece in part]
    assert len(used) == 23
    assert SUITES[20] not in used
    assert names(splits["test"]) == {f"public-domain/suite1-{m}" for m in range(1, 5)}
    with pytest.raises(ValueError, match=r"^split.held_out suite1-\*: all other pieces are copies"):
        hold_out(SUITES, "suite1-*", 0.1, 0, [0] * 24)
