"""SGD written out, against torch's."""

import pytest
import torch
from torch import nn

from seq_modules.training.optim import OptimConfig, build_optimizer
from seq_modules.training.optimizers.sgd import WrittenOutSGD


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_it_equals_that_of_torch(momentum: float) -> None:
    torch.manual_seed(0)
    nets = [nn.Linear(4, 3).double() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    idle = nn.Parameter(torch.ones(2))  # gets no gradient
    groups = [[{"params": [net.weight], "weight_decay": 0.1}, {"params": [net.bias, idle], "lr": 0.02}] for net in nets]
    optimizers = [
        WrittenOutSGD(groups[0], 0.1, momentum),
        torch.optim.SGD(groups[1], 0.1, momentum),
    ]
    for x in torch.randn(6, 5, 4, dtype=torch.double):
        losses = []
        for net, optimizer in zip(nets, optimizers, strict=True):

            def closure(net: nn.Module = net, x: torch.Tensor = x) -> torch.Tensor:
                net.zero_grad()
                loss = net(x).square().mean()
                loss.backward()
                return loss

            losses.append(optimizer.step(closure))
        torch.testing.assert_close(*losses)
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-14)
    assert torch.equal(idle, torch.ones(2))


def test_the_group_of_settings_gives_torchs_with_decay_of_matrices_alone() -> None:
    net = nn.Linear(2, 2)
    optimizer = build_optimizer(net, OptimConfig(0.3, weight_decay=0.2, optimizer="sgd", momentum=0.5))
    assert isinstance(optimizer, torch.optim.SGD)
    assert [(g["lr"], g["momentum"], g["weight_decay"]) for g in optimizer.param_groups] == [
        (0.3, 0.5, 0.2),
        (0.3, 0.5, 0),
    ]
    assert [g["params"] for g in optimizer.param_groups] == [[net.weight], [net.bias]]
    with pytest.raises(ValueError, match=r"optim\.momentum must be at least 0 and below 1, not 1"):
        OptimConfig(momentum=1.0)
