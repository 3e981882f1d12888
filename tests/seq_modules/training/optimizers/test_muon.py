"""MuonAdamW against torch's Muon and AdamW, against exact singular values, and as one optimiser that resumes."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import lr_scheduler

from seq_modules.training.optimizers.muon import (
    JORDAN,
    MARGIN,
    POLAR_EXPRESS,
    MuonAdamW,
    hidden_matrices,
    orthogonalise,
)
from seqlight.core import hardware

SHAPES = [(8, 8), (24, 8), (8, 24), (8, 8), (1, 5), (8, 24)]


def weights(shapes: list[tuple[int, ...]] = SHAPES, seed: int = 0) -> list[Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def gradients(params: list[Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(100 + seed)
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator) * 10 ** -float(seed)


def muon(params: list[Parameter], **settings: Any) -> MuonAdamW:
    return MuonAdamW([{"params": params, "rule": "muon", **settings}])


@pytest.mark.parametrize("scale", ["rows", "rms"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_equals_torchs_step_by_step(monkeypatch: pytest.MonkeyPatch, scale: str, nesterov: bool) -> None:
    ours, theirs = weights(), weights()
    optimizer = muon(ours, lr=0.1, weight_decay=0.3, nesterov=nesterov, scale=scale, precision="fp32", momentum=0.9)
    adjust = "original" if scale == "rows" else "match_rms_adamw"
    other = torch.optim.Muon(theirs, lr=0.1, weight_decay=0.3, nesterov=nesterov, adjust_lr_fn=adjust, momentum=0.9)
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())  # theirs in float32 too
    for step in range(5):
        for params, opt in ((ours, optimizer), (theirs, other)):
            gradients(params, step)
            opt.step()
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_in_bf16_it_equals_torchs_to_its_rounding() -> None:
    ours, theirs = weights(), weights()
    optimizer, other = muon(ours, lr=0.1, precision="bf16"), torch.optim.Muon(theirs, lr=0.1, weight_decay=0.0)
    for step in range(4):
        for params, opt in ((ours, optimizer), (theirs, other)):
            gradients(params, step)
            opt.step()
    for a, b, start in zip(ours, theirs, weights(), strict=True):
        moved = (b - start).norm()
        assert (a - b).norm() < 0.03 * moved
        assert moved > 0.1


@pytest.mark.parametrize("polynomial", ["jordan", "polar_express"])
@pytest.mark.parametrize("shape", [(3, 6, 6), (2, 4, 12), (2, 12, 4)])
def test_orthogonalise_is_its_polynomial_of_the_singular_values(polynomial: Any, shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    s = s / (s.norm(dim=1, keepdim=True) * (1 if polynomial == "jordan" else MARGIN))
    for step in range(5):
        a, b, c = JORDAN[0] if polynomial == "jordan" else POLAR_EXPRESS[step]
        if polynomial == "polar_express":
            a, b, c = a / MARGIN, b / MARGIN**3, c / MARGIN**5
        s = a * s + b * s**3 + c * s**5
    expected = u @ torch.diag_embed(s) @ v
    torch.testing.assert_close(orthogonalise(matrices, polynomial, 5, torch.float64), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_polar_express_comes_nearer_to_orthogonal(dtype: torch.dtype) -> None:
    matrices = torch.randn(4, 16, 48, generator=torch.Generator().manual_seed(2))
    spread = {}
    for polynomial, steps in (("jordan", 5), ("polar_express", 5), ("polar_express", 8)):
        singular = torch.linalg.svdvals(orthogonalise(matrices, polynomial, steps, dtype).float())  # type: ignore[arg-type]
        spread[polynomial, steps] = (singular - 1).abs().max().item()
    assert spread["jordan", 5] < 0.4
    assert spread["polar_express", 5] < 0.15
    assert spread["polar_express", 8] < (1e-3 if dtype == torch.float32 else 0.03)


@pytest.mark.parametrize("instructions", [True, False])
def test_auto_multiplies_in_bf16_where_the_device_has_instructions(
    monkeypatch: pytest.MonkeyPatch, instructions: bool
) -> None:
    monkeypatch.setattr(hardware, "CPU_BF16", instructions)
    updated = {}
    for precision in ("auto", "bf16", "fp32"):
        params = weights()
        for p in params:
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(3))
        muon(params, precision=precision).step()
        updated[precision] = params
    for auto, bf16, fp32 in zip(*updated.values(), strict=True):
        assert torch.equal(auto, bf16 if instructions else fp32)
        assert not torch.equal(bf16, fp32)


def test_zero_gradient_moves_nothing() -> None:
    for polynomial in ("jordan", "polar_express"):
        params = weights()
        for p in params:
            p.grad = torch.zeros_like(p)
        muon(params, lr=1.0, polynomial=polynomial).step()
        assert all(torch.equal(a, b) for a, b in zip(params, weights(), strict=True))


def test_stacked_matrices_are_orthogonalised_apart() -> None:
    fused, apart = weights([(12, 4), (12, 4)]), weights([(12, 4), (12, 4)])
    pieces = [Parameter(piece.clone()) for p in apart for piece in p.detach().chunk(3)]
    one, other = muon(fused, lr=0.1, stacked=3, precision="fp32"), muon(pieces, lr=0.1, precision="fp32")
    for step in range(3):
        gradients(fused, step)
        for piece, grad in zip(pieces, [g for p in fused for g in p.grad.chunk(3)], strict=True):  # type: ignore[union-attr]
            piece.grad = grad.clone()
        one.step()
        other.step()
    torch.testing.assert_close(torch.cat(list(fused)), torch.cat(pieces))


def test_adamw_equals_torchs() -> None:
    shapes: list[tuple[int, ...]] = [(4, 3), (5,), (2, 2, 2)]
    ours, theirs = weights(shapes), weights(shapes)
    settings: dict[str, Any] = {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.2}
    optimizer = MuonAdamW([{"params": ours, "rule": "adamw", **settings}])
    other = torch.optim.AdamW(theirs, fused=True, **settings)
    unfused = weights(shapes)
    plain = torch.optim.AdamW(unfused, **settings)
    for step in range(5):
        for params, opt in ((ours, optimizer), (theirs, other), (unfused, plain)):
            gradients(params, step)
            opt.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for a, b in zip(ours, unfused, strict=True):
        torch.testing.assert_close(a, b)


def both(seed: int = 0) -> tuple[list[Parameter], MuonAdamW]:
    shapes: list[tuple[int, ...]] = [(6, 2), (2, 2), (2, 2), (3, 2), (4,)]
    params = weights(shapes, seed)
    groups: list[dict[str, Any]] = [
        {"params": params[:1], "rule": "muon", "stacked": 3, "lr": 0.02},
        {"params": params[1:3], "rule": "muon", "lr": 0.02, "polynomial": "polar_express"},
        {"params": params[3:], "rule": "adamw", "lr": 0.003},
    ]
    return params, MuonAdamW(groups, weight_decay=0.1)


def test_a_state_dict_goes_on_exactly(tmp_path: Any) -> None:
    params, optimizer = both()
    schedule = lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    def train(params: list[Parameter], optimizer: MuonAdamW, schedule: Any, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            gradients(params, step)
            optimizer.step()
            schedule.step()

    train(params, optimizer, schedule, range(3))
    held = {"params": [p.data for p in params], "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    torch.save(held, tmp_path / "state.pt")
    train(params, optimizer, schedule, range(3, 6))
    held = torch.load(tmp_path / "state.pt", weights_only=True)
    others, resumed = both(seed=9)
    with torch.no_grad():
        for p, value in zip(others, held["params"], strict=True):
            p.copy_(value)
    again = lr_scheduler.LambdaLR(resumed, lambda step: 1 / (1 + step))
    resumed.load_state_dict(held["optimizer"])
    again.load_state_dict(held["schedule"])
    train(others, resumed, again, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))
    assert [group["lr"] for group in resumed.param_groups] == pytest.approx([0.02 / 7, 0.02 / 7, 0.003 / 7])
    assert all(resumed.state[p]["momentum_buffer"].shape == p.shape for p in others[:3])


def test_closure_and_parameters_without_gradient() -> None:
    params, optimizer = both()
    before = [p.detach().clone() for p in params]
    params[1].grad, params[4].grad = torch.ones(2, 2), torch.ones(4)
    assert optimizer.step(lambda: torch.tensor(7.0)) == 7.0
    changed = [not torch.equal(a, b) for a, b in zip(params, before, strict=True)]
    assert changed == [False, True, False, False, True]
    copy.deepcopy(optimizer).step()


class Attention(nn.Module):
    stacked = {"qkv.weight": 3}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out, self.values = nn.Linear(4, 12), nn.Linear(4, 4, bias=False), nn.Embedding(7, 4)


def test_hidden_matrices_are_those_of_the_blocks() -> None:
    net = nn.Module()
    net.embedding, net.blocks = nn.Embedding(7, 4), nn.ModuleList([Attention(), Attention()])
    hidden = hidden_matrices(net)
    expected = {p: n for block in net.blocks for p, n in ((block.qkv.weight, 3), (block.out.weight, 1))}  # type: ignore[union-attr]
    assert {id(p): n for p, n in hidden.items()} == {id(p): n for p, n in expected.items()}
    net.blocks[0].out.weight.requires_grad_(False)  # type: ignore[index,union-attr]
    assert len(hidden_matrices(net)) == 3
    Attention.stacked = {"qkv.weight": 5}
    try:
        with pytest.raises(ValueError, match="12 rows, which are not 5"):
            hidden_matrices(net)
    finally:
        Attention.stacked = {"qkv.weight": 3}
    with pytest.raises(ValueError, match="optimizer: muon needs a net with blocks"):
        hidden_matrices(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({}, "rule of a parameter group must be muon or adamw, not None"),
        ({"rule": "sgd"}, "not 'sgd'"),
        ({"rule": "muon", "lr": -1.0}, "lr must be at least 0"),
        ({"rule": "muon", "momentum": 1.0}, "below 1, not 1.0"),
        ({"rule": "adamw", "betas": (0.9, 1.5)}, "below 1, not 1.5"),
        ({"rule": "muon", "steps": 0}, "steps must be at least 1"),
        ({"rule": "muon", "stacked": 5}, r"5 matrices each, not of shape \(8, 8\)"),
        ({"rule": "muon", "params": [Parameter(torch.ones(3))]}, r"not of shape \(3,\)"),
    ],
)
def test_bad_settings_are_named(group: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MuonAdamW([{"params": weights()[:1], **group}])
