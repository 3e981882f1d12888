"""Positions against their formulas, number by number."""

import cmath
import math

import pytest
import torch

from seq_modules.nets.transformer.attention import rotary_tables, rotate
from seq_modules.nets.transformer.positions import alibi_bias, alibi_slopes, causal_alibi, sinusoidal_table

T, K = 300, 6


def test_sinusoids_follow_the_paper() -> None:
    for width in (K, 7):
        table = sinusoidal_table(T, width)
        for t in (0, 1, 17, T - 1):
            for column in range(width):
                angle = t / 10000 ** (2 * (column // 2) / width)
                expected = math.cos(angle) if column % 2 else math.sin(angle)
                assert table[t, column].item() == pytest.approx(expected, abs=1e-6)


def test_rotation_is_a_product_of_complex_numbers() -> None:
    x = torch.randn(2, 3, T, K, dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    tables = rotary_tables(T, K)
    torch.set_default_dtype(torch.float32)
    turned = rotate(x, tables)
    for t in (0, 1, 100, T - 1):
        for i in range(K // 2):
            factor = cmath.exp(1j * t / 10000 ** (2 * i / K))
            product = torch.complex(x[:, :, t, i], x[:, :, t, i + K // 2]) * factor
            torch.testing.assert_close(turned[:, :, t, i], product.real, rtol=0, atol=1e-12)
            torch.testing.assert_close(turned[:, :, t, i + K // 2], product.imag, rtol=0, atol=1e-12)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 1, K, dtype=torch.float64).expand(2, T, K)
    tables = rotary_tables(T, K).double()
    scores = rotate(q, tables) @ rotate(k, tables).mT
    for distance in (0, 1, 40):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), rtol=0, atol=1e-5)


def test_rotation_has_right_gradients() -> None:
    tables = rotary_tables(4, K).double()
    assert torch.autograd.gradcheck(
        lambda x: rotate(x, tables), torch.randn(2, 4, K, dtype=torch.float64).requires_grad_()
    )


def test_half_precision_tables_are_rounded_and_not_computed_in_it() -> None:
    full = rotary_tables(T, K), sinusoidal_table(T, K)
    torch.set_default_dtype(torch.bfloat16)
    half = rotary_tables(T, K), sinusoidal_table(T, K)
    torch.set_default_dtype(torch.float32)
    for one, other in zip(half, full, strict=True):
        assert torch.equal(one, other.bfloat16())


def test_an_odd_head_cannot_be_rotated() -> None:
    with pytest.raises(ValueError, match="even head size"):
        rotary_tables(4, 5)


def test_alibi_slopes_are_the_papers() -> None:
    assert alibi_slopes(8).tolist() == [2.0**-k for k in range(1, 9)]
    assert alibi_slopes(1).tolist() == [2.0**-8]
    twelve = [2.0**-k for k in range(1, 9)] + [2.0 ** -(k / 2) for k in (1, 3, 5, 7)]
    assert alibi_slopes(12).tolist() == pytest.approx(twelve, abs=1e-7)


def test_alibi_falls_with_the_distance() -> None:
    bias = alibi_bias(alibi_slopes(4), torch.arange(5), torch.arange(5))
    for head, slope in enumerate((2**-2, 2**-4, 2**-6, 2**-8)):
        for i in range(5):
            for j in range(5):
                assert bias[head, i, j] == -slope * abs(i - j)


def test_alibi_of_queries_at_different_positions() -> None:
    at = torch.tensor([[2], [6]])  # a query a row
    bias = alibi_bias(alibi_slopes(2), at, torch.arange(7))
    assert bias.shape == (2, 2, 1, 7)
    for row, i in enumerate((2, 6)):
        assert bias[row, 1, 0].tolist() == [-(2.0**-8) * abs(i - j) for j in range(7)]
    causal = causal_alibi(alibi_slopes(2), 3, torch.float32)
    assert causal[0, 0].tolist() == [[0, -math.inf, -math.inf], [-(2.0**-4), 0, -math.inf], [-(2.0**-3), -(2.0**-4), 0]]
