"""A step on sets holds the step of each state, whichever engine takes it."""

import numpy as np
import pytest
import torch

from seq_modules import ParityModule
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.verification.ellipsoids import Ellipsoids
from seq_modules.verification.parity import parity_net


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_steps_and_logits_of_sampled_states_lie_inside(cell: str) -> None:
    torch.manual_seed(0)
    module = ParityModule(RecurrentConfig(cell=cell, hidden_size=6)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in module.parameters():
            weight.mul_(3)
    net, generator, samples = parity_net(module), np.random.default_rng(0), 300
    width = net.state_size
    centre = generator.normal(size=(1, width)).astype(np.float32).astype(np.float64)
    states = Ellipsoids(centre, generator.normal(size=(1, width, width)) * 0.05, np.full((1, width), 0.01))
    e = generator.normal(size=(samples, width))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    ends = generator.choice([-1.0, 1.0], size=(samples, width))
    x = torch.tensor(centre + e @ states.generators[0].T + ends * 0.009).float()  # rounding to float32 stays inside
    parts = x[None].split(6, dim=2)
    state = (parts[0].contiguous(), parts[1].contiguous()) if cell == "lstm" else parts[0].contiguous()
    for bit in (0, 1):
        after = net.step(states, bit)
        expected = after.centre + e @ after.generators[0].T
        low, high = net.logits(after)
        for backend in ("fused", "loop", "bptt", "numpy"):
            module.net.backend = backend
            with torch.no_grad():
                logits, new = module(torch.full((samples, 1), bit), state=state)
            joined = torch.cat(new, 2)[0] if isinstance(new, tuple) else new[0]
            assert (np.abs(joined.double().numpy() - expected) <= after.radius).all(), backend
            assert ((low[0] <= logits.numpy()) & (logits.numpy() <= high[0])).all(), backend
    assert after.radius.max() < 0.5


def test_a_step_of_points_is_the_net_itself() -> None:
    torch.manual_seed(0)
    module = ParityModule(RecurrentConfig(cell="lstm", hidden_size=4)).eval()
    net, bits = parity_net(module), [0, 1, 1, 0, 1]
    states = Ellipsoids.points(np.zeros((1, 8)))
    for bit in bits:
        states = net.step(states, bit)
    with torch.no_grad():
        logits, _ = module(torch.tensor([bits]))
    low, high = net.logits(states)
    assert low[0] <= logits[0, -1].item() <= high[0]
    assert high[0] - low[0] < 1e-4
