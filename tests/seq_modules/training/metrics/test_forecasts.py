"""Errors of forecasts against loops over single numbers."""

import math

import numpy as np
import pytest
import torch

from seq_modules.training.metrics.forecasts import (
    Coverage,
    MeanAbsoluteError,
    MeanAbsoluteScaledError,
    MeanSquaredError,
    PinballLoss,
    SymmetricPercentageError,
)

B, H, C, LEVELS = 6, 5, 3, [0.1, 0.5, 0.9]
CENTER, SCALE, NAIVE = [10.0, -3.0, 0.0], [2.0, 1.0, 0.5], [0.7, 0.2, 1.5]


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    quantiles = torch.randn(B, H, C, 3, generator=generator).sort(-1).values
    target = torch.randn(B, H, C, generator=generator)
    observed = torch.rand(B, H, C, generator=generator) < 0.8
    return {"forecast": quantiles[..., 1], "quantiles": quantiles, "target": target, "observed": observed}


def single(batch: dict[str, torch.Tensor], error: object) -> list[list[float]]:
    """The errors of each series, one observed target at a time."""
    found: list[list[float]] = [[] for _ in range(C)]
    for b in range(B):
        for h in range(H):
            for c in range(C):
                if batch["observed"][b, h, c]:
                    quantiles = [float(q) for q in batch["quantiles"][b, h, c]]
                    found[c].append(error(quantiles, float(batch["target"][b, h, c]), c))  # type: ignore[operator]
    return found


def all_of(errors: list[list[float]]) -> float:
    return float(np.mean([error for series in errors for error in series]))


def pinball(quantiles: list[float], y: float, c: int) -> float:
    losses = [level * (y - q) if y >= q else (1 - level) * (q - y) for level, q in zip(LEVELS, quantiles, strict=True)]
    return sum(losses) / 3


def smape(quantiles: list[float], y: float, c: int) -> float:
    f, y = quantiles[1] * SCALE[c] + CENTER[c], y * SCALE[c] + CENTER[c]
    return 100 * abs(f - y) / ((abs(f) + abs(y)) / 2)


def test_each_error_is_the_mean_of_single_ones(batch: dict[str, torch.Tensor]) -> None:
    absolute = single(batch, lambda q, y, c: abs(q[1] - y))
    expected = {
        "mse": all_of(single(batch, lambda q, y, c: (q[1] - y) ** 2)),
        "mae": all_of(absolute),
        "mase": np.mean([np.mean(errors) / naive for errors, naive in zip(absolute, NAIVE, strict=True)]),
        "smape": all_of(single(batch, smape)),
        "pinball": all_of(single(batch, pinball)),
        "coverage": all_of(single(batch, lambda q, y, c: float(q[0] <= y <= q[2]))),
    }
    metrics = {
        "mse": MeanSquaredError(C), "mae": MeanAbsoluteError(C), "mase": MeanAbsoluteScaledError(NAIVE),
        "smape": SymmetricPercentageError(CENTER, SCALE), "pinball": PinballLoss(C, LEVELS),
        "coverage": Coverage(C, 0, 2),
    }  # fmt: skip
    for name, metric in metrics.items():
        needs = (
            ("quantiles", "target", "observed")
            if name in ("pinball", "coverage")
            else ("forecast", "target", "observed")
        )
        for part in (slice(0, 4), slice(4, B)):  # batches of different sizes
            metric.update(**{key: batch[key][part] for key in needs})
        assert metric.compute().item() == pytest.approx(expected[name], rel=1e-5), name


def test_series_without_naive_errors_or_targets_are_left_out_of_mase() -> None:
    metric = MeanAbsoluteScaledError([0.0, 0.5, 2.0])
    target = torch.zeros(1, 2, 3)
    metric.update(target + 1, target, torch.tensor([True, True, False]).expand(1, 2, 3))
    assert metric.compute().item() == 2.0  # 1 / 0.5
    alone = MeanAbsoluteScaledError([0.0])
    alone.update(target[..., :1] + 1, target[..., :1], torch.ones(1, 2, 1, dtype=torch.bool))
    assert math.isnan(alone.compute().item())


def test_two_zeros_make_no_percentage_error() -> None:
    metric = SymmetricPercentageError([1.0], [2.0])
    zero = torch.full((1, 2, 1), -0.5)  # 0 in its own unit
    metric.update(torch.tensor([[[-0.5], [0.5]]]), zero, torch.ones(1, 2, 1, dtype=torch.bool))
    assert metric.compute().item() == 100.0  # the mean of 0 and 200


def test_an_interval_of_true_quantiles_covers_its_level() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(1000, 20, 1, generator=generator)
    quantiles = torch.distributions.Normal(0, 1).icdf(torch.tensor([0.1, 0.9])).expand(1000, 20, 1, 2)
    metric = Coverage(1, 0, 1)
    metric.update(quantiles, target, torch.ones_like(target, dtype=torch.bool))
    assert metric.compute().item() == pytest.approx(0.8, abs=0.01)


def test_the_pinball_loss_is_least_at_the_quantile() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(20_000, 1, 1, generator=generator)

    def loss(value: float) -> float:
        metric = PinballLoss(1, [0.2])
        metric.update(torch.full((20_000, 1, 1, 1), value), target, torch.ones_like(target, dtype=torch.bool))
        return metric.compute().item()

    assert loss(0.2) < min(loss(0.17), loss(0.23))
    assert loss(0.2) == pytest.approx(0.2 * 0.8 / 2, rel=0.02)  # of uniform numbers
