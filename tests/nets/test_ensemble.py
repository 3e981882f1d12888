"""Nets whose probabilities are averaged, against plain sums; one is trained at a time."""

import pytest
import torch

from seq_modules.generation import Decoding, generate
from seq_modules.muon import hidden_matrices
from seq_modules.nets.ensemble import Ensemble, log_mean
from seq_modules.nets.gpt import GPT

V, S = 11, 8


def make(count: int = 3) -> Ensemble:
    torch.manual_seed(0)
    sizes = {"d_model": 16, "num_layers": 2, "num_heads": 2, "max_seq_len": S, "tied_head": False}
    ensemble = Ensemble([GPT(V, **sizes) for _ in range(count)]).double()
    for parameter in ensemble.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return ensemble


def test_evaluation_averages_probabilities() -> None:
    ensemble, ids = make().eval(), torch.randint(V, (2, 5))
    mean = sum(net(ids).softmax(-1) for net in ensemble.members) / 3
    torch.testing.assert_close(ensemble(ids).exp(), mean)
    assert (ensemble(ids).exp() - ensemble.members[0](ids).softmax(-1)).abs().max() > 0.01


def test_log_mean_of_what_is_nearly_impossible() -> None:
    logits = [torch.tensor([0.0, -2000.0], dtype=torch.float64), torch.tensor([0.0, -1000.0], dtype=torch.float64)]
    torch.testing.assert_close(log_mean(logits)[1], torch.tensor(-1000.0 - 0.6931471805599453, dtype=torch.float64))


def test_training_goes_through_one_net() -> None:
    ensemble, ids = make().train(), torch.randint(V, (2, 5))
    ensemble.turn = 1
    logits = ensemble(ids)
    assert torch.equal(logits, ensemble.members[1](ids))
    logits.sum().backward()
    assert [all(p.grad is None for p in net.parameters()) for net in ensemble.members] == [True, False, True]


def test_muon_and_compilation_find_the_blocks_of_all() -> None:
    ensemble = make()
    assert list(ensemble.blocks) == [block for net in ensemble.members for block in net.blocks]
    assert len(hidden_matrices(ensemble)) == 3 * len(hidden_matrices(ensemble.members[0]))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_generation_equals_naive_past_the_context(temperature: float) -> None:
    ensemble, prompts = make(), [[1], [2, 3, 4, 5, 6, 7, 8, 9, 10, 1], [4, 4]]
    decoding = Decoding(3 * S, temperature=temperature)
    assert generate(ensemble, prompts, decoding) == generate(ensemble, prompts, decoding, cached=False)


def test_attention_maps_of_all() -> None:
    ensemble, ids = make().eval(), torch.randint(V, (1, 5))
    assert ensemble.attention_maps(ids).shape == (1, 3 * 2, 2, 5, 5)


def test_an_ensemble_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="members"):
        Ensemble([])
