"""Choosing one token: against transformers' warpers, against the softmax, and by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers.generation import logits_process as peer

from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.sampling import argmax, inverse_cdf, penalised, sample, uniforms, warped


def some_logits(rows: int = 64, vocab_size: int = 50) -> torch.Tensor:
    return 3 * torch.randn(rows, vocab_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("k", [1, 2, 7, 50, 99])
def test_top_k_equals_transformers(k) -> None:
    assert_close(warped(some_logits(), Decoding(top_k=k)), peer.TopKLogitsWarper(k)(None, some_logits()))


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 0.999])
def test_top_p_equals_transformers(p) -> None:
    assert_close(warped(some_logits(), Decoding(top_p=p)), peer.TopPLogitsWarper(p)(None, some_logits()))


@pytest.mark.parametrize("p", [0.001, 0.05, 0.5, 1.0])
def test_min_p_equals_transformers(p) -> None:
    assert_close(warped(some_logits(), Decoding(min_p=p)), peer.MinPLogitsWarper(p)(None, some_logits()))


@pytest.mark.parametrize("penalty", [0.7, 1.3, 5.0])
def test_repetition_penalty_equals_transformers(penalty) -> None:
    history = torch.randint(50, (64, 20), generator=torch.Generator().manual_seed(1))
    seen = torch.zeros(64, 50, dtype=torch.bool).scatter(1, history, True)
    expected = peer.RepetitionPenaltyLogitsProcessor(penalty)(history, some_logits())
    assert_close(penalised(some_logits(), seen, penalty), expected)


def test_all_settings_together_equal_transformers_chain() -> None:
    logits = some_logits()
    for warper in (
        peer.TemperatureLogitsWarper(0.6),
        peer.TopKLogitsWarper(12),
        peer.TopPLogitsWarper(0.8),
        peer.MinPLogitsWarper(0.1),
    ):
        logits = warper(None, logits)
    ours = warped(some_logits(), Decoding(temperature=0.6, top_k=12, top_p=0.8, min_p=0.1))
    assert torch.equal(ours.isinf(), logits.isinf())
    assert_close(ours.softmax(-1), logits.softmax(-1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_softmax(temperature) -> None:
    """Chi-square with 9 degrees of freedom: 27.9 is exceeded once in a thousand seeds."""
    row = torch.linspace(-1, 2, 10, dtype=torch.float64)
    count = 20_000
    generator = uniforms(seed=3, row=0)
    drawn = torch.tensor([next(generator) for _ in range(count)], dtype=torch.float64)
    ids = sample(row.expand(count, -1), Decoding(temperature=temperature), drawn)
    expected = count * (row / temperature).softmax(0)
    assert ((ids.bincount(minlength=10) - expected) ** 2 / expected).sum() < 27.9


def test_uniforms_are_uniform_in_rows_and_across_them() -> None:
    """Chi-square of ten bins along one row, and over the first numbers of many rows; both with 9 degrees of freedom."""
    generator = uniforms(0, 5)
    for numbers in ([next(generator) for _ in range(5000)], [next(uniforms(0, row)) for row in range(5000)]):
        bins = torch.tensor(numbers).mul(10).long().bincount(minlength=10).double()
        assert ((bins - 500) ** 2 / 500).sum() < 27.9
    assert len({next(uniforms(seed, row)) for seed in range(30) for row in range(30)}) == 900


@given(
    st.lists(st.floats(-30, 30) | st.just(-math.inf), min_size=1, max_size=8).filter(lambda row: max(row) > -math.inf),
    st.floats(0, 1),
)
@settings(max_examples=200, deadline=None)
def test_an_impossible_id_is_never_chosen(row, uniform) -> None:
    """Not even where rounding brings a uniform to 1, or where impossible ids stand first or last."""
    logits = torch.tensor([row], dtype=torch.float64)
    (chosen,) = inverse_cdf(logits, torch.tensor([uniform])).tolist()
    assert logits.softmax(-1)[0, chosen] > 0


def test_the_uniform_falls_into_the_ids_share() -> None:
    logits = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).log().expand(6, -1)
    ids = inverse_cdf(logits, torch.tensor([0.0, 0.19, 0.21, 0.69, 0.71, 0.999]))
    assert ids.tolist() == [0, 0, 2, 2, 3, 3]


def test_temperature_towards_nothing_is_greedy() -> None:
    logits = some_logits()
    half = torch.full((64,), 0.5)
    for temperature in (1e-3, 1e-30, 5e-324):
        assert torch.equal(sample(logits, Decoding(temperature=temperature), half), logits.argmax(-1))
    assert torch.equal(sample(logits, Decoding(temperature=0)), logits.argmax(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_low_precision_logits_are_sampled_in_float64(dtype) -> None:
    logits = some_logits().to(dtype)
    half = torch.full((64,), 0.5, dtype=torch.float64)
    assert torch.equal(sample(logits, Decoding(), half), sample(logits.double(), Decoding(), half))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("top_k", 0), ("top_p", 0.0),
        ("top_p", 1.1), ("min_p", -0.1), ("min_p", 1.5), ("repetition_penalty", 0.0), ("max_new_tokens", 0),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_in_one_line(name, value) -> None:
    with pytest.raises(ValueError, match=rf"^{name} [^\n]*{value!r}$"):
        Decoding(**{name: value})


@pytest.mark.parametrize("vocab_size", [3, 70, 4096, 4999])
def test_argmax_of_many_numbers_is_the_first_of_the_largest(vocab_size) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = (1 << 17) // vocab_size + 1
    logits = torch.randint(40, (rows, vocab_size), generator=generator).float()  # with many equal ones
    logits[::3, -1] = 99
    logits[1::3, :] = -torch.inf
    logits[1::3, vocab_size // 2] = 0
    expected = [row.index(max(row)) for row in logits.tolist()]
    assert argmax(logits).tolist() == expected
    assert sample(logits, Decoding(temperature=0)).tolist() == expected
