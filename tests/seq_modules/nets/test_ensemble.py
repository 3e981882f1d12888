"""Nets whose probabilities are averaged, against plain sums; one is trained at a time."""

from typing import Any

import pytest
import torch

from seq_modules.generation import Decoding, generate
from seq_modules.nets.ensemble import Ensemble, averaged
from seq_modules.nets.transformer.gpt import GPT
from seq_modules.training.muon import hidden_matrices

V, S = 11, 8


SIZES: dict[str, Any] = {"d_model": 16, "num_layers": 2, "num_heads": 2, "max_seq_len": S, "tie_weights": False}
SPEEDRUN: dict[str, Any] = {
    "positions": "rotary", "ngram_orders": [2, 3], "ngram_buckets": 16, "ngram_dim": 4, "value_embeddings": True,
    "residual_mix": True, "logit_softcap": 15.0,
}  # fmt: skip


def make(count: int = 3, **options: Any) -> Ensemble:
    torch.manual_seed(0)
    nets = [GPT(V, **SIZES, **options, hash_seed=net if options else 0) for net in range(count)]
    ensemble = Ensemble(nets).double()
    for parameter in ensemble.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return ensemble


def test_evaluation_averages_probabilities() -> None:
    ensemble, ids = make().eval(), torch.randint(V, (2, 5))
    mean = sum(net(ids).softmax(-1) for net in ensemble.members) / 3
    torch.testing.assert_close(ensemble(ids).softmax(-1), mean)
    assert (mean - ensemble.members[0](ids).softmax(-1)).abs().max() > 0.01


def test_average_of_what_is_nearly_impossible() -> None:
    logits = [torch.tensor([0.0, -2000.0], dtype=torch.float64), torch.tensor([0.0, -1000.0], dtype=torch.float64)]
    log_p = averaged(logits).log_softmax(-1)
    torch.testing.assert_close(log_p[1], torch.tensor(-1000.0 - 0.6931471805599453, dtype=torch.float64))


def test_nets_that_agree_speak_as_one() -> None:
    """With their logits too, whose signs a repetition penalty asks for."""
    ensemble, ids = make(2).eval(), torch.randint(V, (2, 5))
    ensemble.members[1].load_state_dict(ensemble.members[0].state_dict())
    torch.testing.assert_close(ensemble(ids), ensemble.members[0](ids))
    decoding = Decoding(10, temperature=0.0, repetition_penalty=1.5)
    assert generate(ensemble, [[1, 2]], decoding) == generate(ensemble.members[0], [[1, 2]], decoding)


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


@pytest.mark.parametrize("options", [{}, SPEEDRUN], ids=["gpt2", "speedrun"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_cached_generation_equals_naive_past_the_context(temperature: float, options: dict[str, Any]) -> None:
    ensemble, prompts = make(**options), [[1], [2, 3, 4, 5, 6, 7, 8, 9, 10, 1], [4, 4]]
    decoding = Decoding(3 * S, temperature=temperature)
    assert generate(ensemble, prompts, decoding) == generate(ensemble, prompts, decoding, cached=False)


def test_what_is_looked_at_is_the_first_net() -> None:
    ensemble, ids = make().eval(), torch.randint(V, (1, 5))
    assert torch.equal(ensemble.attention_maps(ids), ensemble.members[0].attention_maps(ids))
    assert ensemble.position_table is ensemble.members[0].position_table


def test_an_ensemble_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="members"):
        Ensemble([])
