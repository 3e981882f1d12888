"""Events: their embedding against plain sums, and their way through the nets."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from seq_modules.nets.music.event_embedding import EventEmbedding, pack, unpack
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPT, GPTConfig

SIZES = [5, 7, 3]
KINDS = ("lstm", "gru", "rnn", "gpt")


def backbone(kind: str, d_model: int = 8) -> nn.Module:
    torch.manual_seed(0)
    parts = {"embedding": EventEmbedding(SIZES, d_model), "head": nn.Identity()}
    if kind == "gpt":
        config = GPTConfig(d_model, 2, 2, max_seq_len=16, positions="rotary", tie_weights=False)
        net: nn.Module = GPT(15, config, **parts)
    else:
        net = RNNNet(15, RNNConfig(d_model, rnn=RecurrentConfig(kind, d_model, 2)), **parts)
    return net.double().eval()


def events(*shape: int, sizes: list[int] = SIZES, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randint(size, shape, generator=generator) for size in sizes], dim=-1)


def changed(these: Tensor, step: int, field: int) -> Tensor:
    other = these.clone()
    other[:, step, field] = (other[:, step, field] + 1) % SIZES[field]
    return other


def test_every_event_has_a_number_of_its_own() -> None:
    every = torch.tensor(list(itertools.product(*map(range, SIZES))))
    assert pack(every, SIZES).tolist() == list(range(5 * 7 * 3))
    assert torch.equal(unpack(pack(every, SIZES), SIZES), every)


@pytest.mark.parametrize("sizes", [[5, 7, 3], [900, 128, 514], [4]])
def test_embedding_is_the_sum_of_the_fields_rows(sizes: list[int]) -> None:
    embedding = EventEmbedding(sizes, 6)
    these = events(3, 9, sizes=sizes)
    tables = embedding.weight.split(sizes)
    expected = sum(table[these[..., field]] for field, table in enumerate(tables))
    assert_close(embedding(pack(these, sizes)), expected)
    assert_close(embedding.of(these[..., :1]), tables[0][these[..., 0]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", range(3))
def test_an_event_has_no_influence_before_it(kind: str, field: int) -> None:
    net, these = backbone(kind), events(1, 8)
    before, after = net(pack(these, SIZES)), net(pack(changed(these, 5, field), SIZES))
    assert_close(before[:, :5], after[:, :5], rtol=0, atol=0)
    assert ((before - after)[:, 5:].abs().amax(-1) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_carried_state_equals_the_whole_sequence(kind: str) -> None:
    net, ids = backbone(kind), pack(events(3, 9), SIZES)
    lengths, rows = torch.tensor([5, 2, 4]), torch.arange(3)
    whole = net(ids)
    assert whole.shape == (3, 9, 8)
    x, state = net.prefill(ids[:, :5], lengths)
    assert_close(x, whole[rows, lengths - 1])
    for step in range(4):
        x, state = net.decode_step(ids[rows, lengths + step], state)
        assert_close(x, whole[rows, lengths + step])


@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_nets_keep_their_own_embedding_and_head_where_none_is_given(kind: str) -> None:
    if kind == "gpt":
        net: nn.Module = GPT(11, GPTConfig(8, 1, 2, tie_weights=True))
    else:
        net = RNNNet(11, RNNConfig(8, tie_weights=True, rnn=RecurrentConfig(hidden_size=8)))
    assert net(torch.tensor([[1, 2]])).shape == (1, 2, 11)
    given = backbone(kind)
    assert isinstance(given.head, nn.Identity)
    assert not [name for name, _ in given.named_parameters() if name.startswith("head")]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EventEmbedding([], 4), "vocab_sizes"),
        (lambda: EventEmbedding([3, 0], 4), "vocab_sizes"),
        (lambda: EventEmbedding([2**31, 2**31], 4), "vocab_sizes"),
    ],
)
def test_bad_values_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        make()
