"""The recurrent language model's net: one step at a time equals all at once, on every engine."""

import pytest
import torch
from torch.testing import assert_close

from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig


@pytest.mark.parametrize("backend", ["loop", "bptt", "fused", "numpy"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_carried_state_equals_the_whole_sequence(cell, backend) -> None:
    torch.manual_seed(0)
    layers = RecurrentConfig(cell=cell, hidden_size=8, num_layers=2, backend=backend)
    net = RNNNet(11, RNNConfig(6, rnn=layers)).double().eval()
    ids = torch.randint(11, (3, 9))
    lengths = torch.tensor([5, 2, 4])
    whole = net(ids)
    logits, state = net.prefill(ids[:, :5], lengths)
    assert_close(logits, whole[torch.arange(3), lengths - 1])
    for step in range(4):
        logits, state = net.decode_step(ids[torch.arange(3), lengths + step], state)
        assert_close(logits, whole[torch.arange(3), lengths + step])


def test_engines_agree_in_loss_and_gradients() -> None:
    ids = torch.randint(7, (2, 6), generator=torch.Generator().manual_seed(1))
    results = []
    for backend in ("loop", "bptt", "fused", "numpy"):
        torch.manual_seed(0)
        layers = RecurrentConfig(cell="gru", hidden_size=5, backend=backend)  # type: ignore[arg-type]
        net = RNNNet(7, RNNConfig(4, rnn=layers)).double()
        torch.nn.functional.cross_entropy(net(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        results.append([p.grad for p in net.parameters()])
    for other in results[1:]:
        assert_close(results[0], other, atol=1e-10, rtol=0)


def test_tied_head_shares_the_embedding() -> None:
    net = RNNNet(7, RNNConfig(5, tie_weights=True, rnn=RecurrentConfig(hidden_size=5)))
    assert net.head.weight is net.embedding.weight


def test_a_token_has_no_influence_before_it() -> None:
    torch.manual_seed(0)
    net = RNNNet(7, RNNConfig(4, rnn=RecurrentConfig(hidden_size=5))).eval()
    ids = torch.randint(7, (1, 8))
    other = ids.clone()
    other[0, 5] = (other[0, 5] + 1) % 7
    assert_close(net(ids)[:, :5], net(other)[:, :5], rtol=0, atol=0)
    assert not torch.equal(net(ids)[:, 5:], net(other)[:, 5:])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"d_model": 0}, "net.d_model must be at least 1"),
        ({"dropout": 1.0}, "net.dropout must be"),
        ({"tie_weights": True}, r"net.tie_weights needs net.d_model \(128\) and net.rnn.hidden_size \(256\)"),
        ({"rnn": RecurrentConfig(bidirectional=True)}, "net.rnn.bidirectional must be false"),
    ],
)
def test_bad_values_are_refused(fields, text) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        RNNConfig(**fields)
    with pytest.raises(ValueError, match=r"^vocab_size"):
        RNNNet(0)
