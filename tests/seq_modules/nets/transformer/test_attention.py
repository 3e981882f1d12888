"""The two engines against each other and against loops; the block's parts against plain formulas."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.hashing.hashed_ngrams import NgramEmbedding, ngram_hashes
from seq_modules.nets.transformer.attention import Attention, causal_mask, resolve_kind, rotary_tables
from seq_modules.nets.transformer.block import FeedForward, RMSNorm, drop, make_norm, random_bytes
from seqlight.core import hardware

B, T, D, H = 3, 7, 12, 2


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def run(layer: nn.Module, x: Tensor, **options: Any) -> list[Tensor]:
    """Outputs, and gradients of a random weighting of them by x and all parameters."""
    x = x.clone().requires_grad_()
    y = layer(x, **options)
    loss = (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))).sum() / len(y)
    return [y, *torch.autograd.grad(loss, [x, *layer.parameters()])]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("extras", [False, True])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_engines_are_equal_with_gradients(dtype: torch.dtype, atol: float, extras: bool, bias: bool) -> None:
    one, other = (Attention(D, H, bias=bias, qk_norm=extras, kind=kind).to(dtype) for kind in ("sdpa", "eager"))
    other.load_state_dict(one.state_dict())
    options: dict[str, Any] = {"mask": causal_mask(T, torch.device("cpu"), dtype)}
    if extras:
        options |= {"rotary": rotary_tables(T, D // H).to(dtype)}
    x = torch.randn(B, T, D, dtype=dtype)
    for ours, theirs in zip(run(one, x, **options), run(other, x, **options), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_attention_is_what_loops_compute(kind: Any) -> None:
    layer = Attention(D, H, bias=True, qk_norm=False, kind=kind).double()
    x = torch.randn(B, T, D, dtype=torch.float64)
    q, k, v = layer.qkv(x).split(D, dim=-1)
    joined = torch.zeros(B, T, D, dtype=torch.float64)
    size = D // H
    for b in range(B):
        for h in range(H):
            part = slice(h * size, (h + 1) * size)
            for t in range(T):
                scores = torch.stack([q[b, t, part] @ k[b, s, part] / math.sqrt(size) for s in range(t + 1)]).exp()
                joined[b, t, part] = sum(p * v[b, s, part] for s, p in enumerate(scores / scores.sum()))
    mask = causal_mask(T, x.device, x.dtype)
    torch.testing.assert_close(layer(x, mask=mask), layer.out(joined), rtol=0, atol=1e-12)


def test_auto_goes_by_device_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CPU_BF16", False)
    assert resolve_kind("auto", "cpu", torch.bfloat16, 64) == "sdpa"  # emulated
    monkeypatch.setattr(hardware, "CPU_BF16", True)
    assert resolve_kind("auto", "cpu", torch.bfloat16, 256) == "eager"
    assert resolve_kind("auto", "cpu", torch.bfloat16, 1024) == "sdpa"
    assert resolve_kind("auto", "cpu", torch.float32, 256) == "sdpa"
    assert resolve_kind("auto", "cuda", torch.bfloat16, 256) == "sdpa"
    assert resolve_kind("eager", "cuda", torch.float32, 1024) == "eager"


def test_activations_are_their_formulas() -> None:
    x = torch.randn(B, T, D, dtype=torch.float64)
    for activation in ("gelu", "gelu_tanh", "relu2", "swiglu"):
        net = FeedForward(D, 5, activation=activation, bias=True).double()  # type: ignore[arg-type]
        up = x @ net.up.weight.T + net.up.bias
        if activation == "gelu":
            h = up * 0.5 * (1 + torch.erf(up / math.sqrt(2)))
        elif activation == "gelu_tanh":
            h = up * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (up + 0.044715 * up**3)))
        elif activation == "relu2":
            h = torch.where(up > 0, up * up, 0)
        else:
            g, u = up[..., :5], up[..., 5:]
            h = g / (1 + torch.exp(-g)) * u
        torch.testing.assert_close(net(x), h @ net.down.weight.T + net.down.bias, rtol=0, atol=1e-12)


def test_norms_are_their_formulas() -> None:
    x = 3 * torch.randn(B, T, D, dtype=torch.float64) + 1
    root = (x**2).mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(RMSNorm(D)(x), x / root, rtol=0, atol=1e-6)
    assert not list(RMSNorm(D).parameters())
    expected = (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, correction=0)
    torch.testing.assert_close(make_norm("layer", D, bias=False).double()(x), expected, rtol=0, atol=1e-5)
    assert len(list(make_norm("layer", D, bias=False).parameters())) == 1


def test_rms_norm_of_small_numbers_in_half_precision_is_not_lost_in_epsilon() -> None:
    x = 0.02 * torch.randn(B, D)
    torch.testing.assert_close(RMSNorm(D)(x.bfloat16()).float(), RMSNorm(D)(x), rtol=0.03, atol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(share: float) -> None:
    x = torch.ones(1000, 203)
    dropout_bytes = random_bytes(*x.shape, device=x.device)
    assert abs(dropout_bytes.float().mean().item() - 127.5) < 1  # uniform, the highest bit included
    y = drop(x, dropout_bytes, share)
    assert (y == 0).float().mean().item() == pytest.approx(share, abs=0.004)
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert len(y.unique()) <= 2
    assert drop(x.bfloat16(), dropout_bytes, share).dtype == torch.bfloat16


def plain_hash(ids: list[int], end: int, order: int, buckets: int, salt: int) -> int:
    if end + 1 < order:
        return 0
    h = 0
    for token in reversed(ids[end + 1 - order : end + 1]):
        h = (h * 1000003 + token + 1) % 2**31
    h = h * (2 * salt * 0x9E3779B1 + 1) % 2**31
    return (h ^ (h // 2**17)) % (buckets - 1) + 1


@pytest.mark.parametrize(("orders", "salt"), [([2, 3, 4], 0), ([5, 1], 0), ([3], 1), ([1, 4], 123456)])
def test_hashes_are_what_a_plain_loop_computes(orders: list[int], salt: int) -> None:
    for steps in (1, 3, 20):
        ids = torch.randint(50_000, (B, steps))
        rows = ids.tolist()
        expected = [[[plain_hash(row, t, order, 97, salt) for order in orders] for t in range(steps)] for row in rows]
        assert ngram_hashes(ids, orders, 97, salt).tolist() == expected


def test_what_shares_a_bucket_under_one_salt_does_not_under_another() -> None:
    pairs = torch.cartesian_prod(torch.arange(64), torch.arange(64))
    first, second = (ngram_hashes(pairs, [2], 4096, salt)[:, 1, 0] for salt in (0, 1))
    together = (first[:, None] == first).triu(1)  # (4096, 4096): the pairs of pairs that share a bucket
    again = (together & (second[:, None] == second)).sum() / together.sum()
    assert together.sum() > 0
    assert again < 0.01


def test_hashes_spread_over_all_buckets() -> None:
    pairs = torch.cartesian_prod(torch.arange(64), torch.arange(64))
    used = ngram_hashes(pairs, [2], 4096)[:, 1].unique()
    assert len(used) > 0.6 * 4096  # 1 - 1/e of them, were they thrown at random
    assert used.min() >= 1


def test_each_order_has_its_own_table() -> None:
    net = NgramEmbedding(D, [2, 3], buckets=11, dim=4, dropout=0.0)
    hashes = ngram_hashes(torch.randint(9, (B, T)), [2, 3], 11)
    tables = net.table.weight.view(2, 11, 4)
    expected = torch.cat([tables[n][hashes[..., n]] for n in range(2)], dim=-1) @ net.projection.weight.T
    torch.testing.assert_close(net(hashes), expected)


def test_ngram_dropout_is_for_training_alone() -> None:
    net = NgramEmbedding(D, [2], buckets=11, dim=4, dropout=0.9)
    hashes = net.hashes(torch.randint(9, (B, T)))
    assert not torch.equal(net(hashes), net(hashes))
    net.eval()
    assert torch.equal(net(hashes), F.linear(net.table(hashes[..., 0]), net.projection.weight))


@pytest.mark.parametrize(
    ("orders", "options", "message"),
    [
        ([2, 2], {}, "orders must be different"),
        ([0], {}, "orders must be different and at least 1"),
        ([2], {"buckets": 1}, "buckets must be at least 2"),
        ([2], {"dim": 0}, "dim must be at least 1"),
        ([2], {"dropout": 1.0}, "dropout must be"),
    ],
)
def test_bad_ngrams_are_told(orders: list[int], options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NgramEmbedding(D, orders, **{"buckets": 11, "dim": 4, "dropout": 0.0} | options)
