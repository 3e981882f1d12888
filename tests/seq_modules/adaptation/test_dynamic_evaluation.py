"""Dynamic evaluation is a plain loop: score a segment, then one step of the optimiser on its loss."""

import copy

import pytest
import torch
import torch.nn.functional as F

from seq_modules.adaptation.dynamic_evaluation import DynamicEvaluation
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seqlight.core.errors import UserError

RATE = 0.01


@pytest.fixture
def net() -> GPT:
    torch.manual_seed(0)
    return GPT(7, GPTConfig(d_model=8, num_layers=1, num_heads=2, max_seq_len=12, dropout=0.5)).train()


def test_segments_are_scored_and_then_learned_from(net: GPT) -> None:
    ids = torch.randint(7, (41,), generator=torch.Generator().manual_seed(1))
    before = copy.deepcopy(net.state_dict())
    plain = copy.deepcopy(net).eval()
    optimizer = torch.optim.Adam(plain.parameters(), lr=RATE)
    expected = []
    for begin in range(1, 41, 4):
        logits = plain(ids[max(0, begin + 3 - 12) : begin + 3][None])[0, -4:]
        expected.append(logits.log_softmax(-1).detach())
        optimizer.zero_grad()
        F.cross_entropy(logits, ids[begin : begin + 4]).backward()
        optimizer.step()
    model, found = DynamicEvaluation(net, RATE), []
    with model.reading():
        assert not net.training
        for begin in range(1, 41, 4):
            found.append(model.score(ids[max(0, begin + 3 - 12) : begin + 3], 4))
            model.learn(ids[begin : begin + 4])
        assert not torch.equal(net.state_dict()["head.weight"], before["head.weight"])
    torch.testing.assert_close(torch.cat(found), torch.cat(expected))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert all(weight.grad is None for weight in net.parameters())


def test_a_rate_that_makes_the_output_nan_is_told(net: GPT) -> None:
    model = DynamicEvaluation(net, 1e30)

    def read() -> None:
        with model.reading():
            for _ in range(3):
                model.score(torch.arange(4), 2)
                model.learn(torch.arange(2))

    with pytest.raises(UserError, match=r"give a lower --adapt\.learning_rate"):
        read()
    assert all(weight.isfinite().all() for weight in net.parameters())


def test_the_weights_come_back_after_an_error(net: GPT) -> None:
    before = copy.deepcopy(net.state_dict())
    model = DynamicEvaluation(net, RATE)

    def read() -> None:
        with model.reading():
            model.score(torch.arange(7), 3)
            model.learn(torch.arange(3))
            model.score(torch.full((1,), 7), 1)  # an id that the net does not have

    with pytest.raises(IndexError):
        read()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_gradients_flow_under_inference_mode_too(net: GPT) -> None:
    model = DynamicEvaluation(net, RATE)
    with torch.inference_mode(), model.reading():
        first = model.score(torch.arange(7), 3)
        model.learn(torch.arange(3))
        assert not torch.equal(model.score(torch.arange(7), 3), first)
