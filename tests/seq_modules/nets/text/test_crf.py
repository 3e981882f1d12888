"""LinearChainCRF against sums over all label sequences, written out."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seq_modules.nets.text.crf import LinearChainCRF

LABELS = 3
LENGTHS = [4, 1, 2, 3]


def toy(forbid: bool = False) -> tuple[LinearChainCRF, Tensor, Tensor]:
    """A CRF, emissions (B, T, C) in float64, and a mask."""
    torch.manual_seed(0)
    forbidden = torch.zeros(LABELS, LABELS, dtype=torch.bool)
    forbidden[0, 2] = forbidden[2, 2] = forbid
    crf = LinearChainCRF(LABELS, forbidden, torch.tensor([False, False, forbid])).double()
    torch.nn.init.normal_(crf.transitions)
    torch.nn.init.normal_(crf.start)
    torch.nn.init.normal_(crf.end)
    emissions = torch.randn(len(LENGTHS), max(LENGTHS), LABELS, dtype=torch.float64, requires_grad=True)
    return crf, emissions, torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]


def sequences(crf: LinearChainCRF, emissions: Tensor, length: int) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Every label sequence of one sentence that is allowed, with its score added up term by term."""
    for labels in itertools.product(range(LABELS), repeat=length):
        pairs = list(itertools.pairwise(labels))
        if crf.start_penalty[labels[0]] < 0 or any(crf.transition_penalty[pair] < 0 for pair in pairs):
            continue
        score = crf.start[labels[0]] + crf.end[labels[-1]]
        for t, label in enumerate(labels):
            score = score + emissions[t, label]
        for a, b in pairs:
            score = score + crf.transitions[a, b]
        yield labels, score


@pytest.mark.parametrize("forbid", [False, True])
def test_partition_likelihood_and_gradients_are_those_of_all_sequences(forbid: bool) -> None:
    crf, emissions, mask = toy(forbid)
    labels = torch.tensor([[0, 1, 2, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 2, 1, 0]])
    expected = []
    for row, length in enumerate(LENGTHS):
        all_of = dict(sequences(crf, emissions[row], length))
        z = torch.stack(list(all_of.values())).logsumexp(0)
        expected.append(all_of[tuple(labels[row, :length].tolist())] - z)
        torch.testing.assert_close(crf.log_partition(emissions, mask)[row], z)
    likelihood = crf.log_likelihood(emissions, labels, mask)
    torch.testing.assert_close(likelihood, torch.stack(expected))
    inputs = [emissions, *crf.parameters()]
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    ours = torch.autograd.grad((likelihood * weights).sum(), inputs)
    theirs = torch.autograd.grad((torch.stack(expected) * weights).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("forbid", [False, True])
def test_viterbi_and_marginals_are_those_of_all_sequences(forbid: bool) -> None:
    for seed in range(5):
        crf, emissions, mask = toy(forbid)
        torch.manual_seed(seed)
        emissions = 2 * torch.randn_like(emissions)
        best, marginals = crf.viterbi(emissions, mask), crf.marginals(emissions, mask)
        for row, length in enumerate(LENGTHS):
            all_of = dict(sequences(crf, emissions[row], length))
            assert tuple(best[row, :length].tolist()) == max(all_of, key=lambda labels: all_of[labels].item())
            assert not best[row, length:].any()
            probabilities = torch.stack(list(all_of.values())).softmax(0)
            for t in range(length):
                for label in range(LABELS):
                    among = torch.tensor([labels[t] == label for labels in all_of])
                    torch.testing.assert_close(marginals[row, t, label], probabilities[among].sum())


def test_padding_changes_nothing() -> None:
    crf, emissions, mask = toy()
    labels = torch.randint(LABELS, mask.shape)
    other, other_labels = emissions.detach().clone(), labels.clone()
    other[~mask], other_labels[~mask] = 1e3, -100
    longer = torch.cat((other, torch.full((len(LENGTHS), 2, LABELS), 7.0, dtype=torch.float64)), dim=1)
    longer_mask = torch.nn.functional.pad(mask, (0, 2))
    longer_labels = torch.nn.functional.pad(other_labels, (0, 2), value=-100)
    likelihood = crf.log_likelihood(emissions, labels, mask)
    torch.testing.assert_close(crf.log_likelihood(longer, longer_labels, longer_mask), likelihood, rtol=0, atol=0)
    assert torch.equal(crf.viterbi(longer, longer_mask)[:, :-2], crf.viterbi(emissions, mask))
    marginals = crf.marginals(longer, longer_mask)[:, :-2][mask]
    torch.testing.assert_close(marginals, crf.marginals(emissions, mask)[mask], rtol=0, atol=0)


def test_forbidden_transitions_have_no_probability_however_high_the_scores() -> None:
    crf, emissions, mask = toy(forbid=True)
    with torch.no_grad():
        emissions[:, :, 2] += 1000
    best = crf.viterbi(emissions, mask)
    assert not (best[:, 0] == 2).any()
    assert not ((best[:, :-1] != 1) & (best[:, 1:] == 2) & mask[:, 1:]).any()
    assert (best == 2).any()  # after label 1 it is allowed
    loss = -crf.log_likelihood(emissions, best, mask).sum()
    loss.backward()
    assert torch.isfinite(crf.transitions.grad).all()  # type: ignore[arg-type]
    assert crf.transitions.grad[crf.transition_penalty < 0].eq(0).all()  # type: ignore[index]
