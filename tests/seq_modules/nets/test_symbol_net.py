"""The net over symbols: no answer depends on what comes later, on padding or on how the string was cut."""

from typing import Any

import pytest
import torch

from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.symbol_net import SymbolNet, SymbolNetConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seq_modules.nets.transformer.positions import alibi_slopes

V, C, B, T = 3, 4, 4, 9
NETS = {
    "gru": SymbolNetConfig(rnn=RecurrentConfig("gru", 8)),
    "mingru": SymbolNetConfig(rnn=RecurrentConfig("mingru", 8, num_layers=2)),
    "rotary": SymbolNetConfig("transformer", d_model=16, transformer=TransformerEncoderConfig(2, 4)),
    "alibi": SymbolNetConfig("transformer", d_model=16, transformer=TransformerEncoderConfig(2, 4, positions="alibi")),
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> SymbolNet:
    torch.manual_seed(0)
    return SymbolNet(V, C, NETS[request.param]).double()


def test_no_answer_depends_on_a_later_symbol_or_on_padding(net: SymbolNet) -> None:
    ids = torch.randint(V, (B, T))
    logits, _ = net(ids)
    assert logits.shape == (B, T, C)
    for length in (1, 4, T):
        torch.testing.assert_close(net(ids[:, :length])[0], logits[:, :length], rtol=0, atol=1e-12)
    lengths = torch.tensor([2, T, 5, 1])
    mask = torch.arange(T) < lengths[:, None]
    padded, _ = net(ids.where(mask, (ids + 1) % V), mask)
    torch.testing.assert_close(padded[mask], logits[mask], rtol=0, atol=1e-12)


def test_the_first_symbol_counts_at_the_last_step(net: SymbolNet) -> None:
    ids = torch.zeros(1, T, dtype=torch.int64)
    changed = ids.clone()
    changed[0, 0] = 1
    assert (net(ids)[0][0, -1] - net(changed)[0][0, -1]).abs().max() > 1e-6


def test_a_recurrent_state_carries_over_and_a_transformer_has_none(net: SymbolNet) -> None:
    ids = torch.randint(V, (B, T))
    first, state = net(ids[:, :4])
    if net.recurrent is None:
        assert state is None
        with pytest.raises(ValueError, match="no state"):
            net(ids, state=torch.zeros(1))
        return
    second, _ = net(ids[:, 4:], state=state)
    torch.testing.assert_close(torch.cat([first, second], 1), net(ids)[0], rtol=0, atol=1e-12)


def test_alibi_in_the_net_is_the_papers() -> None:
    """One layer of one head, written out: the weights are softmax(q·k/√K - slope·distance)."""
    net: Any = SymbolNet(
        V, C, SymbolNetConfig("transformer", d_model=4, transformer=TransformerEncoderConfig(1, 1, positions="alibi"))
    ).double()
    block = net.transformer.blocks[0]
    x = torch.randn(1, 5, 4).double()
    q, k, v = block.attention.qkv(block.attention_norm(x))[0].chunk(3, dim=-1)
    scores = q @ k.T / 2 - alibi_slopes(1)[0] * (torch.arange(5)[:, None] - torch.arange(5)).abs()
    weights = scores.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -torch.inf).softmax(-1)
    y = x[0] + block.attention.out(weights @ v)
    expected = net.transformer.norm(y + block.feed_forward(block.feed_forward_norm(y)))
    found = net.transformer(x, torch.ones(1, 5, dtype=torch.bool))[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)  # the bias is made in float32


def test_noise_is_drawn_on_the_symbols(net: SymbolNet) -> None:
    ids = torch.randint(V, (B, T))
    assert (net(ids, noise=0.3)[0] - net(ids)[0]).abs().max() > 1e-6


def test_both_directions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"net\.rnn\.bidirectional must be false"):
        SymbolNetConfig(rnn=RecurrentConfig(bidirectional=True))
