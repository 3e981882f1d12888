"""Retrieval: lengths of matches against counting, one by one and all at once, and what a copy head adds."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seq_modules.nets.retrieval import (
    MAX_MATCH,
    CopyHead,
    last_match_lengths,
    match_lengths,
    next_match_lengths,
)


def keys(batch: int, steps: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-1, 2, (batch, steps, 2), generator=generator)


def counted(row: list[int], at: int, lag: int) -> int:
    length = 0
    while length < MAX_MATCH and at - lag - length >= 0 and row[at - length] == row[at - lag - length] >= 0:
        length += 1
    return length


def test_lengths_are_those_of_counting() -> None:
    these = keys(2, 30)
    these[1, :, 0] = 1  # longer than is counted
    found = match_lengths(these)
    assert found.shape == (2, 30, 29, 2)
    for b in range(2):
        for which in range(2):
            row = these[b, :, which].tolist()
            expected = [[counted(row, at, lag) for lag in range(1, 30)] for at in range(30)]
            assert found[b, :, :, which].tolist() == expected


def test_lengths_of_the_last_place_follow_from_those_before() -> None:
    these = keys(3, 60)
    these[2] = 1
    whole = match_lengths(these)
    lengths = last_match_lengths(these[:, :20])
    for count in range(20, 61):
        if count > 20:
            lengths = next_match_lengths(these[:, :count], lengths)
        assert torch.equal(lengths, whole[:, count - 1, : count - 1])
        assert torch.equal(lengths, last_match_lengths(these[:, :count]))
    assert int(whole.max()) == MAX_MATCH


@pytest.mark.parametrize("numbers", [0, 1])
def test_a_copy_head_adds_its_scores_to_the_retrieved_ids(numbers: int) -> None:
    torch.manual_seed(0)
    head = CopyHead(6, [4, 2], numbers).double()
    x, ids = torch.randn(3, 6, dtype=torch.float64), torch.tensor([[1, 4], [2, 2], [0, 3]])
    lengths = torch.tensor([[[2, 5], [1, 1]], [[31, 0], [3, 3]], [[0, 0], [0, 7]]])
    classes = [torch.tensor([[0, 3], [1, 1], [2, 0]]), torch.tensor([[1, 0], [0, 0], [1, 1]])]
    real = torch.rand(3, 2, 1, dtype=torch.float64) if numbers else None
    added = head(x, ids, lengths, 5, classes, real)
    expected = torch.zeros(3, 5, dtype=torch.float64)
    for row in range(3):
        for m in range(2):
            if lengths[row, m].any():
                z = head.lengths[0].weight[lengths[row, m, 0]] + head.lengths[1].weight[lengths[row, m, 1]]
                z = z + sum(t.weight[c[row, m]] for t, c in zip(head.categories, classes, strict=True))
                z = z + head.output(x[row])
                if head.numbers is not None and real is not None:
                    z = z + head.numbers(real[row, m])
                expected[row, ids[row, m]] += head.score(z).item()
    assert_close(added, expected)
    assert not added[2, 0]  # nothing was retrieved there
