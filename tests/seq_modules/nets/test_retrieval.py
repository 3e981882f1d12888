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


def test_lengths_of_the_last_position_follow_from_those_before() -> None:
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
def test_a_copy_head_adds_weights_to_those_of_the_retrieved_ids(numbers: int) -> None:
    torch.manual_seed(0)
    head = CopyHead(6, [4, 2], numbers).double()
    logits = torch.randn(3, 5, dtype=torch.float64)
    x, ids = torch.randn(3, 6, dtype=torch.float64), torch.tensor([[1, 4], [2, 2], [0, 3]])
    lengths = torch.tensor([[[2, 5], [1, 1]], [[31, 0], [3, 3]], [[0, 0], [0, 7]]])
    classes = [torch.tensor([[0, 3], [1, 1], [2, 0]]), torch.tensor([[1, 0], [0, 0], [1, 1]])]
    real = torch.rand(3, 2, 1, dtype=torch.float64) if numbers else None
    found = head(logits, x, ids, lengths, classes, real)
    weights = logits.exp()
    for row in range(3):
        for m in range(2):
            if lengths[row, m].any():
                z = head.lengths[0].weight[lengths[row, m, 0]] + head.lengths[1].weight[lengths[row, m, 1]]
                z = z + sum(t.weight[c[row, m]] for t, c in zip(head.categories, classes, strict=True))
                z = z + head.query_projection(x[row])
                if head.numbers is not None and real is not None:
                    z = z + head.numbers(real[row, m])
                weights[row, ids[row, m]] += head.logit(z).exp().item()
    assert_close(found, weights.log())
    assert found[2, 0] == logits[2, 0]  # nothing was retrieved there


def test_positions_that_agree_add_up_and_do_not_multiply() -> None:
    """However many say the same, an id gains no more than as many times the weight of one."""
    torch.manual_seed(0)
    head = CopyHead(6)
    logits, x = torch.zeros(1, 5), torch.randn(1, 6)
    gains = [
        head(logits, x, torch.full((1, positions), 2), torch.full((1, positions, 2), 9))[0, 2].exp() - 1
        for positions in (1, 2, 6)
    ]
    assert_close(gains[1], 2 * gains[0])
    assert_close(gains[2], 6 * gains[0])


def test_gradients_of_a_copy_head_are_those_of_differences() -> None:
    """Also where nothing is retrieved, which gets no score, and for scores of thousands."""
    torch.manual_seed(0)
    head = CopyHead(3).double()
    ids = torch.tensor([[1, 1], [0, 3], [2, 2]])
    lengths = torch.tensor([[[2, 5], [1, 1]], [[0, 0], [0, 7]], [[0, 0], [0, 0]]])
    logits, x = (torch.randn(3, size, dtype=torch.float64, requires_grad=True) for size in (4, 3))
    assert torch.autograd.gradcheck(lambda logits, x: head(logits, x, ids, lengths).log_softmax(-1), (logits, x))
    with torch.no_grad():
        head.query_projection.weight *= 1e4
    found = head(logits, x, ids, lengths)
    assert torch.equal(found[2], logits[2])
    found.log_softmax(-1).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in head.parameters() if weight.grad is not None)
