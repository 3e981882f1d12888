"""The two parallel scans against their loops, in numbers, gradients, and where a division or a logarithm would fail."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.rnn.linear import delta_rule
from seq_modules.nets.rnn.linear.scan import loop, scan


@pytest.fixture(autouse=True)
def _float64() -> Any:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def with_gradients(run: Any, leaves: list[Tensor]) -> list[Tensor]:
    """What a function gives, and the gradients of a nonlinear weighting of it."""
    values = run(*leaves)
    values = values if isinstance(values, tuple) else (values,)
    loss = torch.stack([(value.sin() * torch.arange(1.0, 1 + value.numel()).view_as(value)).mean() for value in values])
    return [*values, *torch.autograd.grad(loss.sum(), leaves)]


def assert_same(ours: list[Tensor], theirs: list[Tensor], atol: float = 1e-10) -> None:
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol)


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 7, 33, 128])
def test_scan_equals_the_loop_with_gradients(steps: int) -> None:
    given = leaves(2 * torch.rand(steps, 2, 3) - 1, torch.randn(steps, 2, 3), torch.randn(2, 3))
    assert_same(with_gradients(scan, given), with_gradients(loop, given))


@pytest.mark.parametrize("coefficient", [0.0, 1.0, -1.0, 1e-300])
def test_scan_is_exact_where_products_of_coefficients_vanish_or_change_their_sign(coefficient: float) -> None:
    given = leaves(torch.full((50, 1), coefficient), torch.randn(50, 1), torch.randn(1))
    assert_same(with_gradients(scan, given), with_gradients(loop, given), atol=1e-12)


def test_scan_of_long_sequences_in_float32() -> None:
    a, b = 2 * torch.rand(3000, 4) - 1, torch.randn(3000, 4)
    exact = loop(a, b, torch.zeros(4))
    torch.testing.assert_close(scan(a.float(), b.float(), torch.zeros(4).float()).double(), exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize("steps", [1, 2, 5, 6])
def test_first_and_second_derivatives_of_the_scan(steps: int) -> None:
    given = leaves(torch.randn(steps, 2), torch.randn(steps, 2), torch.randn(2))
    assert torch.autograd.gradcheck(scan, given)
    assert torch.autograd.gradgradcheck(scan, given)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("tokens", [1, 4, 11])
def test_chunks_of_the_delta_rule_equal_the_loop_with_gradients(
    monkeypatch: pytest.MonkeyPatch, tokens: int, steps: int
) -> None:
    monkeypatch.setattr(delta_rule, "CHUNK", 4)
    given = leaves(
        torch.randn(3, tokens, 4),
        F.normalize(torch.randn(3, tokens, steps, 4), dim=-1),
        torch.randn(3, tokens, steps, 5),
        2 * torch.rand(3, tokens, steps),
        torch.randn(3, 5, 4),
    )
    assert_same(with_gradients(delta_rule.chunked, given), with_gradients(delta_rule.loop, given))


def test_the_delta_rule_multiplies_by_householder_matrices() -> None:
    """Without writing, and with β = 2, a step mirrors the state at a plane; two steps turn it by twice their angle."""
    angle = torch.tensor(torch.pi / 3)
    keys = torch.stack([torch.tensor([1.0, 0.0]), torch.stack([angle.cos(), angle.sin()])])
    mirrors = [torch.eye(2) - 2 * torch.outer(key, key) for key in keys]
    k, v, beta = keys.view(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2), 2.0)
    turned = torch.eye(2).view(1, 2, 2)
    for count in range(1, 4):
        outputs, turned = delta_rule.chunked(torch.tensor([[[1.0, 2.0]]]), k, v, beta, turned)
        expected = torch.linalg.matrix_power(mirrors[0] @ mirrors[1], count)
        assert_same([turned[0], outputs[0, 0]], [expected, expected @ torch.tensor([1.0, 2.0])], atol=1e-14)
    assert_same([turned[0]], [torch.eye(2)], atol=1e-14)  # three turns by 120 degrees: how it counts modulo 3


def test_the_delta_rule_replaces_the_value_of_a_key() -> None:
    key, value = F.normalize(torch.randn(4), dim=0), torch.randn(5)
    state = torch.randn(1, 5, 4)
    _, after = delta_rule.chunked(
        torch.zeros(1, 1, 4), key.view(1, 1, 1, 4), value.view(1, 1, 1, 5), torch.ones(1, 1, 1), state
    )
    assert_same([after[0] @ key], [value], atol=1e-14)
    other = torch.linalg.svd(key.unsqueeze(0)).Vh[1]  # at right angles to the key
    assert_same([after[0] @ other], [state[0] @ other], atol=1e-14)
