"""Beams of one source share what is kept of it, as long as they lie together."""

from seq_modules.nets.source_groups import SourceGroups


def test_beams_of_a_source_share_it_until_sources_leave() -> None:
    groups = SourceGroups(3)
    assert groups.reorder([0, 0, 1, 1, 2, 2]) is None
    assert groups.rows_per_source == 2
    assert groups.reorder([1, 0, 2, 2, 5, 4]) is None  # beams change places within their source
    assert groups.rows_per_source == 2
    assert groups.reorder([0, 1, 5, 5]) == [0, 2]
    assert groups.rows_per_source == 2
    assert groups.reorder([0, 2]) is None
    assert groups.rows_per_source == 1


def test_rows_in_disorder_have_a_source_each() -> None:
    groups = SourceGroups(2)
    assert groups.reorder([0, 1, 0]) == [0, 1, 0]
    assert groups.rows_per_source == 1
    assert groups.reorder([2, 1, 1]) == [2, 1, 1]  # runs of unequal length
    assert groups.rows_per_source == 1
    assert groups.reorder([0, 0, 1, 1]) == [0, 1]
    assert groups.rows_per_source == 2
    assert groups.reorder([3, 2, 0, 1]) == [1, 0]  # sources change places
