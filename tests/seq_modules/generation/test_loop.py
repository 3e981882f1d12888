"""The loop has room for beam search: a sampler that reorders rows, against the best of all sequences."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq_modules.generation.loop import SamplerOutput, decode
from seq_modules.generation.state import CachedState, RereadState, new_state

VOCABULARY, START, EOS, STEPS = 4, 0, 3, 5


class Bigrams(nn.Module):
    """Logits from the last two ids; its state has the sequences, and a row of it may be taken twice."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.table = nn.Parameter(2 * torch.randn(VOCABULARY, VOCABULARY, VOCABULARY, generator=generator))

    def forward(self, input_ids: Tensor) -> Tensor:
        before = nn.functional.pad(input_ids, (1, 0))[:, :-1]
        return self.table[before, input_ids]

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        assert (lengths == input_ids.shape[1]).all()
        return self(input_ids)[:, -1], input_ids

    def decode_step(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.cat((state, ids[:, None]), dim=1)
        return self(state)[:, -1], state

    def window(self, ids: list[int]) -> list[int]:
        return ids

    def reorder(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]


class Beams:
    """Keeps the best B of all ways to go on with B rows; a row that has ended competes as it is."""

    def __init__(self, beams: int) -> None:
        self.scores = torch.full((beams,), -torch.inf)
        self.scores[0] = 0  # all rows are the same prompt
        self.ended = torch.zeros(beams, dtype=torch.bool)

    def __call__(self, logits: Tensor, /) -> SamplerOutput[int]:
        ways = self.scores[:, None] + logits.log_softmax(-1)
        ways[self.ended] = -torch.inf
        ways[self.ended, 0] = self.scores[self.ended]
        self.scores, best = ways.flatten().topk(len(ways))
        parents, ids = best // VOCABULARY, best % VOCABULARY
        self.ended = self.ended[parents] | (ids == EOS)
        return SamplerOutput(ids, ids.tolist(), self.ended.tolist(), parents)


def log_prob(net: nn.Module, sequence: tuple[int, ...]) -> float:
    logits = net(torch.tensor([[START, *sequence[:-1]]]))[0].log_softmax(-1)
    return float(logits[torch.arange(len(sequence)), torch.tensor(sequence)].sum())


def all_sequences() -> list[tuple[int, ...]]:
    """Every sequence that ends with EOS, or has all steps."""
    return [
        sequence
        for length in range(1, STEPS + 1)
        for sequence in itertools.product(range(VOCABULARY), repeat=length)
        if EOS not in sequence[:-1] and (length == STEPS or sequence[-1] == EOS)
    ]


@pytest.mark.parametrize("cached", [True, False])
@torch.no_grad()
def test_wide_beams_find_the_best_sequences(cached: bool) -> None:
    net, beams = Bigrams(), 300  # as wide as there are sequences of four tokens
    best = sorted(all_sequences(), key=lambda sequence: -log_prob(net, sequence))
    sampler = Beams(beams)
    found = decode(new_state(net, [[START]] * beams, cached), sampler, beams, STEPS)
    assert [tuple(row) for row in found[:20]] == best[:20]
    assert torch.allclose(sampler.scores[:20], torch.tensor([log_prob(net, sequence) for sequence in best[:20]]))
    assert len({len(row) for row in found[:20]}) > 1


@torch.no_grad()
def test_two_beams_equal_with_a_cache_and_without_and_beat_greedy() -> None:
    net = Bigrams()
    found = [decode(new_state(net, [[START]] * 2, cached), Beams(2), 2, STEPS) for cached in (True, False)]
    assert found[0] == found[1]
    (greedy,) = decode(new_state(net, [[START]], True), Beams(1), 1, STEPS)
    assert log_prob(net, tuple(found[0][0])) >= log_prob(net, tuple(greedy))


def test_reordering_rows() -> None:
    net, device = Bigrams(), torch.device("cpu")
    rows = torch.tensor([2, 2, 0])
    outputs = []
    for kind in (CachedState, RereadState):
        state: Any = kind(net, [[0, 1], [1, 1], [2, 1]], device)
        state.start()
        state.append(torch.tensor([1, 2, 0]))
        state.reorder(rows)
        outputs.append(state.append(torch.tensor([0, 1, 2])))
    expected = net(torch.tensor([[2, 1, 0, 0], [2, 1, 0, 1], [0, 1, 1, 2]]))[:, -1]
    assert torch.equal(outputs[0], expected)
    assert torch.equal(outputs[1], expected)


def test_a_net_that_cannot_reorder_is_named() -> None:
    class Plain(nn.Module):
        prefill = Bigrams.prefill
        forward = Bigrams.forward

        def __init__(self) -> None:
            super().__init__()
            self.table = Bigrams().table

    with pytest.raises(ValueError, match=r"^net: Plain has no method reorder, which beam search needs$"):
        decode(new_state(Plain(), [[START]] * 2, True), Beams(2), 2, STEPS)
