"""The learning rate's schedule against its drawing, and which weights each rule takes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq_modules import SequenceModule
from seq_modules.training.optim import OptimConfig, adamw
from seq_modules.training.optimizers.muon import MuonAdamW
from seq_modules.training.progress import Budget
from seq_modules.training.schedule import learning_rate_factor, scheduler


def factors(schedule: Any, total: float = 10, warmup: int = 0, **kwargs: float) -> list[float]:
    return [learning_rate_factor(step, schedule, warmup, total, **kwargs) for step in range(int(total) + 2)]


def test_warm_up_leads_to_the_full_rate() -> None:
    assert factors("constant", 4, warmup=3) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert factors("wsd", 4, warmup=2, decay_fraction=0.5) == pytest.approx([1 / 3, 2 / 3, 1, 1, 0, 0])


def test_cosine_goes_down_to_its_last_share() -> None:
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * min(step, 10) / 10)) / 2 for step in range(12)]
    assert factors("cosine", min_lr_ratio=0.2) == pytest.approx(expected)


def test_linear_is_a_trapezoid() -> None:
    assert factors("wsd", decay_fraction=0.4) == pytest.approx([1] * 7 + [0.75, 0.5, 0.25, 0, 0])
    assert factors("wsd", decay_fraction=0.4, min_lr_ratio=0.2) == pytest.approx([1] * 7 + [0.8, 0.6, 0.4, 0.2, 0.2])
    assert factors("wsd") == pytest.approx([1 - step / 10 for step in range(11)] + [0])


def test_inverse_square_root_is_vaswanis_rate_over_its_peak() -> None:
    rates = [min(step**-0.5, step * 4**-1.5) for step in range(1, 13)]  # equation 3 with 4 steps of warm-up
    assert factors("inverse_sqrt", warmup=3) == pytest.approx([rate / max(rates) for rate in rates])
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler(optimizer, "inverse_sqrt", 0, math.inf)  # needs no end


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_a_budget_and_the_steps_whichever_is_further(schedule: Any) -> None:
    def at(step: int, total: float, used: float) -> float:
        return learning_rate_factor(step, schedule, 0, total, used=used)

    assert at(5, math.inf, 0.25) == at(1, 4, 0.0) == at(1, 8, 0.25)
    assert at(3, 4, 0.25) == at(0, math.inf, 0.75)
    assert at(3, math.inf, 1.0) == pytest.approx(0)


class Half(Budget):
    progress = 0.5


def test_scheduler_asks_the_budget_at_each_step() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=2.0)
    budget = Half()
    schedule = scheduler(optimizer, "wsd", 0, math.inf, budget=budget)
    budget.progress = 0.75
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5)
    with pytest.raises(ValueError, match="schedule: wsd needs an end"):
        scheduler(optimizer, "wsd", 0, math.inf)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(2))
        self.head = nn.Linear(4, 5)
        self.head.weight = self.embedding.weight  # tied
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Module(SequenceModule):
    def __init__(self, **optim: Any) -> None:
        super().__init__({}, OptimConfig(**{"learning_rate": 0.1, **optim}))
        self.net = Net()


def test_each_rule_takes_its_weights() -> None:
    module = Module(optimizer="muon", muon_learning_rate=0.02, weight_decay=0.3, beta1=0.8, beta2=0.95)
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, MuonAdamW)
    matrices, rest = optimizer.param_groups
    assert (matrices["rule"], matrices["lr"], matrices["weight_decay"]) == ("muon", 0.02, 0.3)
    assert [id(p) for p in matrices["params"]] == [id(block[0].weight) for block in module.net.blocks]  # type: ignore[index]
    assert (rest["rule"], rest["lr"], rest["weight_decay"], rest["betas"]) == ("adamw", 0.1, 0.0, (0.8, 0.95))
    trained = {id(p) for p in module.parameters() if p.requires_grad}
    assert sorted(trained) == sorted(id(p) for group in optimizer.param_groups for p in group["params"])


def test_fused_adamw_is_equal_and_lets_lightning_clip() -> None:
    nets = [Net(), Net()]
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [
        adamw(net.parameters(), 0.1, 0.2, (0.9, 0.99), fused=fused)
        for net, fused in zip(nets, (False, True), strict=True)
    ]
    for _ in range(3):
        for net, optimizer in zip(nets, optimizers, strict=True):
            optimizer.zero_grad()
            net(torch.arange(5)).square().mean().backward()
            optimizer.step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert not optimizers[1]._step_supports_amp_scaling  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"muon_learning_rate": 0.0}, "muon_learning_rate must be above 0"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1"),
        ({"beta2": -0.1}, "beta2 must be"),
        ({"decay_fraction": 0.0}, "decay_fraction must be above 0"),
        ({"min_lr_ratio": 2.0}, "optim.min_lr_ratio must be at least 0 and at most 1"),
    ],
)
def test_bad_settings_are_named(setting: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Module(**setting)
