"""Nets whose probabilities are averaged, against plain sums; one is trained at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq_modules.generation import Decoding, generate
from seq_modules.nets.ensemble import Ensemble, averaged
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.nets.transformer.gpt_extras import ExtrasConfig, NgramConfig
from seq_modules.training.optimizers.muon import hidden_matrices

V, S = 11, 8


SIZES: dict[str, Any] = {"d_model": 16, "num_layers": 2, "num_heads": 2, "max_seq_len": S, "tie_weights": False}
SPEEDRUN: dict[str, Any] = {
    "positions": "rotary",
    "ngrams": NgramConfig([2, 3], buckets=16, dim=4),
    "extras": ExtrasConfig(value_embeddings=True, residual_mix=True, logit_softcap=15.0),
}


def make(count: int = 3, **options: Any) -> Ensemble:
    torch.manual_seed(0)
    nets = [GPT(V, GPTConfig(**SIZES, **options), hash_seed=net) for net in range(count)]
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


def test_members_that_agree_keep_their_logits() -> None:
    """Their logits stay as well, on whose signs a repetition penalty depends."""
    ensemble, ids = make(2).eval(), torch.randint(V, (2, 5))
    ensemble.members[1].load_state_dict(ensemble.members[0].state_dict())
    torch.testing.assert_close(ensemble(ids), ensemble.members[0](ids))
    decoding = Decoding(10, temperature=0.0, repetition_penalty=1.5)
    assert generate(ensemble, [[1, 2]], decoding) == generate(ensemble.members[0], [[1, 2]], decoding)


def test_training_goes_through_the_active_member() -> None:
    ensemble, ids = make().train(), torch.randint(V, (2, 5))
    ensemble.active = 1
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


def test_attention_and_positions_are_those_of_the_first_member() -> None:
    ensemble, ids = make().eval(), torch.randint(V, (1, 5))
    assert torch.equal(ensemble.attention_maps(ids), ensemble.members[0].attention_maps(ids))
    assert ensemble.position_table is ensemble.members[0].position_table


def test_an_ensemble_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="members"):
        Ensemble([])


class Fields(nn.Module):
    """Logits of two fields, and nothing in a third place."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor, scale: float = 1.0) -> tuple[Tensor, Tensor, None]:
        return self.first(x) * scale, self.second(x) * scale, None


def test_logits_of_several_fields_are_averaged_one_by_one() -> None:
    ensemble, x = Ensemble([Fields(), Fields()]), torch.randn(2, 4)
    outputs = [net(x, scale=3.0) for net in ensemble.members]
    first, second, third = ensemble.eval()(x, scale=3.0)
    torch.testing.assert_close(first.softmax(-1), (outputs[0][0].softmax(-1) + outputs[1][0].softmax(-1)) / 2)
    torch.testing.assert_close(second.softmax(-1), (outputs[0][1].softmax(-1) + outputs[1][1].softmax(-1)) / 2)
    assert third is None
    assert ensemble.train()(x, scale=3.0)[2] is None
    assert ensemble.blocks is None
    assert ensemble.max_seq_len is None
    assert ensemble.position_table is None
    assert ensemble.attention_maps(x) is None


def test_half_precision_is_averaged_in_float32() -> None:
    logits = [torch.randn(3, 7, dtype=torch.bfloat16) for _ in range(2)]
    assert averaged(logits).dtype == torch.float32
