"""Encoders of texts: padding never counts, and each is equal, gradients too, to an independent form of it."""

from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.text.pooling import AdditiveAttention, Pool, Pooling, last_state
from seq_modules.nets.text.text_cnn import TextCNN
from seq_modules.nets.text.text_encoder import TextEncoder, TextEncoderConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoder
from seq_modules.nets.transformer.positions import sinusoidal_table
from seqlight.core.hyperparameters import group_from

V, LENGTHS = 23, [7, 1, 4, 2]
IDS = torch.randint(1, V, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(0))
MASK = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
IDS = IDS.masked_fill(~MASK, 0)
CELLS = ("rnn", "lstm", "gru")
POOLS, ENCODERS = get_args(Pool), (*CELLS, "cnn", "transformer", "embeddings")


def make(encoder: str = "lstm", pooling: str = "max", **changes: Any) -> TextEncoder:
    """A small net; a recurrent encoder is named by its cell, and groups are given as dicts."""
    torch.manual_seed(0)
    rnn = {"hidden_size": 5, "num_layers": 2, **({"cell": encoder} if encoder in CELLS else {})}
    fields: dict[str, Any] = {
        "encoder": "recurrent" if encoder in CELLS else encoder, "pooling": pooling, "d_model": 8, "attention_size": 4,
        "rnn": rnn, "cnn": {"num_filters": 3}, "transformer": {"num_layers": 2, "num_heads": 2},
    }  # fmt: skip
    for name, value in changes.items():
        fields[name] = {**fields.get(name, {}), **value} if isinstance(value, dict) else value
    net = TextEncoder(V, 0, group_from(TextEncoderConfig, fields)).double()
    for parameter in net.parameters():  # so that nothing starts at zero, and every part of the net can be told
        nn.init.normal_(parameter, std=0.5)
    net.embedding.tokens.weight.data[0] = 0
    return net


def gradients(net: nn.Module, out: Tensor) -> list[Tensor]:
    weight = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad((out * weight).sum(), list(net.parameters()), allow_unused=True))


def same(ours: list[Any], theirs: list[Any], atol: float = 1e-10) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("pooling", POOLS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_more_padding_changes_neither_outputs_nor_gradients(encoder: str, pooling: str) -> None:
    net = make(encoder, pooling, rnn={"bidirectional": True}, embedding={"char_orders": [2, 3], "word_orders": [2, 3]})
    assert net.embedding.chars is not None
    net.embedding.chars.set_pieces([f"p{i}x" for i in range(V)], [0])
    results = []
    for more in (0, 9):
        out = net(F.pad(IDS, (0, more)), F.pad(MASK, (0, more)))
        results.append([out, *gradients(net, out)])
    same(results[0], results[1], 1e-10)
    # And a row alone says what it says among others.
    alone = torch.cat([net(IDS[i : i + 1, :n], MASK[i : i + 1, :n]) for i, n in enumerate(LENGTHS)])
    torch.testing.assert_close(results[0][0], alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooling", POOLS)
@pytest.mark.parametrize("encoder", ["cnn", "transformer", "lstm"])
def test_what_stands_in_padding_does_not_matter(encoder: str, pooling: str) -> None:
    net = make(encoder, pooling, rnn={"bidirectional": True})
    other = IDS.masked_fill(~MASK, 5)
    torch.testing.assert_close(net(IDS, MASK), net(other, MASK), rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", POOLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_recurrent_engines_are_equal_and_are_torch_nn_row_by_row(cell: str, bidirectional: bool, pooling: str) -> None:
    nets = [
        make(cell, pooling, rnn={"bidirectional": bidirectional, "backend": backend}) for backend in ("fused", "bptt")
    ]
    results = []
    for net in nets:
        out = net(IDS, MASK)
        results.append([out, *gradients(net, out)])
    same(results[0], results[1])

    net = nets[0]
    plain = getattr(nn, cell.upper())(8, 5, num_layers=2, bidirectional=bidirectional, batch_first=True).double()
    plain.load_state_dict(net.backbone.state_dict())  # type: ignore[union-attr]
    rows = []
    for i, length in enumerate(LENGTHS):
        x = net.embedding.tokens.weight[IDS[i, :length]]
        states = plain(x[None])[0][0]  # (T, S·H)
        if pooling == "last":
            row = torch.cat((states[-1, :5], states[0, 5:]))
        elif pooling == "mean":
            row = states.sum(0) / length
        elif pooling == "max":
            row = torch.stack([max(column) for column in states.unbind(1)])
        else:
            row = additive(net.pooling.attention, states)[1]  # type: ignore[arg-type]
        rows.append(row)
    expected = torch.stack(rows)
    torch.testing.assert_close(results[0][0], expected, rtol=0, atol=1e-12)
    weight = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1))
    theirs = torch.autograd.grad((expected * weight).sum(), list(plain.parameters()))
    named = dict(zip([name for name, _ in net.named_parameters()], results[0][1:], strict=True))
    for (name, _), gradient in zip(plain.named_parameters(), theirs, strict=True):
        torch.testing.assert_close(named[f"backbone.{name}"], gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_packed_is_equal_to_masked(cell: str) -> None:
    net = make(cell, "last", rnn={"num_layers": 1, "bidirectional": True})
    packed = net.states(IDS, MASK)[0]  # the library's packing
    one: Any = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell]
    masked = torch.zeros_like(packed)
    for direction, steps in enumerate((range(IDS.shape[1]), reversed(range(IDS.shape[1])))):
        single = one(8, 5).double()
        names = {name: f"{name}_l0{'_reverse' if direction else ''}" for name, _ in single.named_parameters()}
        held = net.backbone.state_dict()  # type: ignore[union-attr]
        single.load_state_dict({name: held[theirs] for name, theirs in names.items()})
        h = c = torch.zeros(len(IDS), 5, dtype=torch.float64)
        for step in steps:  # all rows take every step; at padding each keeps the state that it had
            x, true = net.embedding(IDS[:, step]), MASK[:, step, None]
            after = single(x, (h, c)) if cell == "lstm" else (single(x, h), c)
            h, c = (torch.where(true, new, old) for new, old in zip(after, (h, c), strict=True))
            masked[:, step, 5 * direction : 5 * direction + 5] = torch.where(true, h, 0.0)
    torch.testing.assert_close(packed * MASK[..., None], masked, rtol=0, atol=1e-12)
    ends = torch.tensor(LENGTHS) - 1
    last = torch.cat((masked[torch.arange(len(IDS)), ends, :5], masked[:, 0, 5:]), dim=1)
    torch.testing.assert_close(net(IDS, MASK), last, rtol=0, atol=1e-12)


def additive(attention: AdditiveAttention, states: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (T,) and the mean (D,) of states (T, D), by the formula of Bahdanau et al."""
    w, b, v = attention.projection.weight, attention.projection.bias, attention.context.weight[0]
    scores = [sum(v[a] * torch.tanh(w[a] @ h + b[a]) for a in range(len(v))) for h in states]
    powers = torch.stack([torch.as_tensor(score).exp() for score in scores])
    weights = powers / powers.sum()
    return weights, sum(weight * h for weight, h in zip(weights, states, strict=True))  # type: ignore[return-value]


READ_ON: list[dict[str, Any]] = [
    {"encoder": "gru", "convolutions": True},
    {"encoder": "transformer", "convolutions": True},
    {"encoder": "lstm", "join_embeddings": True},
    {"encoder": "lstm", "join_embeddings": True, "convolutions": True},
]


@pytest.mark.parametrize("pooling", ["max", "attention"])
@pytest.mark.parametrize("options", READ_ON)
def test_padding_does_not_count_where_states_are_read_on(options: dict[str, Any], pooling: str) -> None:
    net = make(pooling=pooling, rnn={"bidirectional": True}, cnn={"kernel_sizes": [2, 3]}, **options)
    out = net(IDS, MASK)
    assert out.shape == (len(LENGTHS), net.width)
    results = [out, *gradients(net, out)]
    out = net(F.pad(IDS, (0, 9), value=5), F.pad(MASK, (0, 9)))
    same(results, [out, *gradients(net, out)])
    alone = torch.cat([net(IDS[i : i + 1, :n], MASK[i : i + 1, :n]) for i, n in enumerate(LENGTHS)])
    torch.testing.assert_close(results[0], alone, rtol=0, atol=1e-10)


def test_joined_states_and_convolutions_over_them_are_torchs_row_by_row() -> None:
    rnn = {"bidirectional": True, "num_layers": 1}
    net = make("lstm", "max", rnn=rnn, join_embeddings=True, convolutions=True)
    plain = make("lstm", "max", rnn=rnn)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("convolutions")})
    assert net.convolutions is not None
    for row, length in enumerate(LENGTHS):
        ids, mask = IDS[row : row + 1, :length], MASK[row : row + 1, :length]
        x = net.embedding(ids)
        states = torch.cat((plain.states(ids, mask)[0], x), dim=-1)  # (1, T, 18)
        best = []
        for convolution in net.convolutions.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            wide = F.pad(states.mT, (4, 4))  # Kim's zeros: the widest filter less one, on both sides
            maps = F.conv1d(wide, convolution.weight, convolution.bias).relu()
            best.append(maps.amax(-1))
        torch.testing.assert_close(net(ids, mask), torch.cat(best, dim=1))


def test_attention_weights_are_a_distribution_over_the_true_tokens() -> None:
    net = make("gru", "attention")
    given = net.token_weights(IDS, MASK)
    assert given is not None
    torch.testing.assert_close(given.sum(1), torch.ones(len(LENGTHS), dtype=torch.float64))
    assert (given[~MASK] == 0).all()
    states, _ = net.states(IDS, MASK)
    for row, (weights, length) in enumerate(zip(given, LENGTHS, strict=True)):
        expected = additive(net.pooling.attention, states[row, :length])[0]  # type: ignore[arg-type]
        torch.testing.assert_close(weights[:length], expected, rtol=0, atol=1e-12)
    assert make("gru", "max").token_weights(IDS, MASK) is None


def test_convolutions_are_kims() -> None:
    """As in Kim's program: K - 1 zeros on both sides, a filter on each window, ReLU, the maximum over the windows."""
    widths = (2, 3, 5)
    net = make("cnn", "max", cnn={"kernel_sizes": list(widths), "num_filters": 4})
    out = net(IDS, MASK)
    assert isinstance(net.backbone, TextCNN)
    rows = []
    for i, length in enumerate(LENGTHS):
        zeros = torch.zeros(max(widths) - 1, 8, dtype=torch.float64)
        words = torch.cat((zeros, net.embedding.tokens.weight[IDS[i, :length]], zeros))
        features = []
        for convolution, width in zip(net.backbone.convolutions, widths, strict=True):
            assert isinstance(convolution, nn.Conv1d)
            assert convolution.bias is not None
            windows = [words[at : at + width] for at in range(len(words) - width + 1)]
            for f in range(4):
                kernel = convolution.weight[f].mT  # (width, D)
                scores = [F.relu((kernel * window).sum() + convolution.bias[f]) for window in windows]
                features.append(torch.stack(scores).max())
        rows.append(torch.stack(features))
    expected = torch.stack(rows)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    same(gradients(net, out), gradients(net, expected))


@pytest.mark.parametrize("positions", ["none", "sinusoidal"])
def test_transformer_is_torchs_row_by_row(positions: Any) -> None:
    net = make("transformer", "mean", transformer={"positions": positions})
    body = net.backbone
    assert isinstance(body, TransformerEncoder)
    layer = nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    plain = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False).double()
    names = {
        "self_attn.in_proj_weight": "attention.qkv.weight", "self_attn.in_proj_bias": "attention.qkv.bias",
        "self_attn.out_proj.weight": "attention.out.weight", "self_attn.out_proj.bias": "attention.out.bias",
        "linear1.weight": "feed_forward.up.weight", "linear1.bias": "feed_forward.up.bias",
        "linear2.weight": "feed_forward.down.weight", "linear2.bias": "feed_forward.down.bias",
        "norm1.weight": "attention_norm.weight", "norm1.bias": "attention_norm.bias",
        "norm2.weight": "feed_forward_norm.weight", "norm2.bias": "feed_forward_norm.bias",
    }  # fmt: skip
    mapped = {f"layers.{i}.{theirs}": f"blocks.{i}.{ours}" for i in range(2) for theirs, ours in names.items()}
    mapped |= {"norm.weight": "norm.weight", "norm.bias": "norm.bias"}
    state = body.state_dict()
    plain.load_state_dict({theirs: state[ours] for theirs, ours in mapped.items()})
    rows, maps = [], net.attention_maps(IDS, MASK)
    assert maps is not None
    for i, length in enumerate(LENGTHS):
        x = net.embedding.tokens.weight[IDS[i, :length]]
        if positions == "sinusoidal":
            x = x + sinusoidal_table(length, 8).double()
        first: Any = plain.layers[0]
        read = first.norm1(x[None])
        weights = first.self_attn(read, read, read, average_attn_weights=False)[1]  # (1, H, T, T)
        torch.testing.assert_close(maps[i, 0, :, :length, :length], weights[0], rtol=0, atol=1e-12)
        assert not maps[i, :, :, :, length:].any()
        rows.append(plain(x[None])[0].mean(0))
    expected, out = torch.stack(rows), net(IDS, MASK)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    weight = torch.randn(out.shape, dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    (expected * weight).sum().backward()
    theirs = {mapped[name]: parameter.grad for name, parameter in plain.named_parameters()}
    (out * weight).sum().backward()
    for name, parameter in body.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name], rtol=0, atol=1e-10)


def test_rotary_positions_tell_orders_apart_and_no_positions_do_not() -> None:
    swapped = IDS[:1].flip(1)
    for positions, equal in (("rotary", False), ("none", True)):
        net = make("transformer", "mean", transformer={"positions": positions})
        assert torch.allclose(net(IDS[:1], MASK[:1]), net(swapped, MASK[:1]), atol=1e-10) is equal


def test_pooling_takes_masks_that_do_not_begin_at_the_first_step() -> None:
    x = torch.arange(12.0).view(1, 6, 2)
    mask = torch.tensor([[False, True, False, True, True, False]])
    assert last_state(x, mask).tolist() == [[8.0, 9.0]]
    assert last_state(x, mask, 2).tolist() == [[8.0, 3.0]]
    assert Pooling(2, "mean")(x, mask).tolist() == [[pytest.approx(16 / 3), pytest.approx(19 / 3)]]
    assert Pooling(2, "max")(-x, mask).tolist() == [[-2.0, -3.0]]


def test_word_dropout_puts_the_unknown_token_and_only_while_training() -> None:
    net = make("embeddings", "mean", embedding={"word_dropout": 0.4})
    net.embedding.unknown_id = 1
    net.embedding.tokens.weight.data.copy_(torch.arange(V)[:, None].expand(V, 8))  # a token's vector says which it is
    ids = torch.randint(2, V, (200, 50))
    ids[:, 40:] = 0
    got = net.embedding(ids)[..., 0].long()
    changed = got != ids
    assert (got[changed] == 1).all()
    assert not changed[:, 40:].any()  # padding stays padding
    assert changed[:, :40].double().mean().item() == pytest.approx(0.4, abs=0.02)
    assert torch.equal(net.eval().embedding(ids)[..., 0].long(), ids)


def test_dropout_of_embeddings_and_of_the_vector_only_while_training() -> None:
    for changes in ({"embedding": {"dropout": 0.5}}, {"dropout": 0.5}):
        net = make("cnn", **changes)
        assert not torch.equal(net(IDS, MASK), net(IDS, MASK))
        net.eval()
        assert torch.equal(net(IDS, MASK), make("cnn").eval()(IDS, MASK))


def test_dropout_of_states_leaves_what_is_kept_larger_and_only_while_training() -> None:
    net = make("gru", state_dropout=0.25)
    whole = net.eval().states(IDS, MASK)[0]
    torch.testing.assert_close(whole, make("gru").states(IDS, MASK)[0])
    kept = net.train().states(IDS.repeat(50, 1), MASK.repeat(50, 1))[0]
    ratio = kept / whole.repeat(50, 1, 1)
    true = ratio[MASK.repeat(50, 1)]
    assert ((true == 0) | (true - 4 / 3).abs().lt(1e-6)).all()
    assert (true == 0).double().mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"encoder": "bert"}, "encoder"),
        ({"pooling": "first"}, "pooling"),
        ({"embedding": {"word_dropout": 1.0}}, "embedding.word_dropout"),
        ({"cnn": {"kernel_sizes": []}}, "cnn.kernel_sizes"),
        ({"cnn": {"num_filters": 0}}, "cnn.num_filters"),
        ({"encoder": "transformer", "transformer": {"num_heads": 3}}, "transformer.num_heads"),
        ({"encoder": "transformer", "transformer": {"num_heads": 128}}, "transformer.positions"),  # heads of width 1
        ({"embedding": {"char_orders": [0]}}, "embedding.char_orders"),
        ({"embedding": {"word_orders": [2, 2]}}, "embedding.word_orders"),
        ({"embedding": {"char_buckets": 1}}, "embedding.char_buckets"),
        ({"attention_size": 0}, "attention_size"),
        ({"state_dropout": 1.0}, "state_dropout"),
        ({"encoder": "cnn", "convolutions": True}, "convolutions"),
        ({"encoder": "transformer", "join_embeddings": True}, "join_embeddings"),
        ({"pooling": "last", "join_embeddings": True}, "join_embeddings"),
    ],
)
def test_refuses(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^net\.{named}"):
        TextEncoder(23, 0, group_from(TextEncoderConfig, arguments))


def test_refuses_tokens_that_are_not_there() -> None:
    with pytest.raises(ValueError, match=r"^vocab_size"):
        TextEncoder(0)
    with pytest.raises(ValueError, match=r"^pad_id"):
        TextEncoder(23, 30)
