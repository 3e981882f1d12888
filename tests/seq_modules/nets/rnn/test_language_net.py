"""The recurrent language model's net: one step at a time equals all at once, on every engine."""

import pytest
import torch
from torch.testing import assert_close

from seq_modules.nets.rnn.language_net import RNNNet


@pytest.mark.parametrize("backend", ["bptt", "fused", "numpy"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_carried_state_equals_the_whole_sequence(cell, backend) -> None:
    torch.manual_seed(0)
    net = RNNNet(11, 6, 8, num_layers=2, cell=cell, backend=backend).double().eval()
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
    for backend in ("bptt", "fused", "numpy"):
        torch.manual_seed(0)
        net = RNNNet(7, 4, 5, cell="gru", backend=backend).double()
        torch.nn.functional.cross_entropy(net(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
        results.append([p.grad for p in net.parameters()])
    assert_close(results[0], results[1], atol=1e-10, rtol=0)
    assert_close(results[0], results[2], atol=1e-10, rtol=0)


def test_tied_head_shares_the_embedding() -> None:
    net = RNNNet(7, 5, 5, tie_weights=True)
    assert net.head.weight is net.embedding.weight


def test_a_token_has_no_influence_before_it() -> None:
    torch.manual_seed(0)
    net = RNNNet(7, 4, 5).eval()
    ids = torch.randint(7, (1, 8))
    other = ids.clone()
    other[0, 5] = (other[0, 5] + 1) % 7
    assert_close(net(ids)[:, :5], net(other)[:, :5], rtol=0, atol=0)
    assert not torch.equal(net(ids)[:, 5:], net(other)[:, 5:])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [({"vocab_size": 0}, "vocab_size"), ({"d_model": 0}, "d_model"), ({"tie_weights": True}, "tie_weights")],
)
def test_bad_values_are_refused(arguments, text) -> None:
    with pytest.raises(ValueError, match=f"^{text}"):
        RNNNet(**{"vocab_size": 7, "d_model": 4, "hidden_size": 5, **arguments})
