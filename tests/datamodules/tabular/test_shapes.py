"""Circles, moons and spirals, against numbers of scikit-learn and against their formulas."""

from typing import Any

import numpy as np
import pytest

from datamodules.tabular.shapes import ShapeConfig, make_points

# make_circles(11, noise=0.2, random_state=5, factor=0.3) and make_moons(11, noise=0.2, random_state=5) of scikit-learn
# 1.9.1, rounded to eight decimals. benchmarks/studies/mlp_baselines.py compares whole sets with the library itself.
LABELS = [1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0]
CIRCLES = [
    [0.25956726, -0.44137086], [-0.08596733, 0.10013085], [-0.65108174, 0.43397981], [0.11355555, -0.3077398],
    [0.09070035, -0.29379446], [-0.13509377, 0.37111469], [0.70353301, 0.90284326], [1.07267518, 0.21489683],
    [-0.54998936, -0.06809987], [0.33844045, 0.37360534], [-0.6232356, -0.34250765],
]  # fmt: skip
MOONS = [
    [-0.04043274, 0.05862914], [1.52304966, -0.35092566], [0.15793525, 0.84619456], [1.96355555, 0.45206782],
    [-1.21831664, 0.65726205], [0.70588924, -0.33974945], [1.1016228, 0.65889353], [1.07267518, 0.21489683],
    [1.40902764, 0.1039225], [0.37942346, 0.02601247], [-0.52132539, 0.95238438],
]  # fmt: skip


@pytest.mark.parametrize(("shape", "expected"), [("circles", CIRCLES), ("moons", MOONS)])
def test_circles_and_moons_are_those_of_scikit_learn(shape: Any, expected: Any) -> None:
    points, labels = make_points(ShapeConfig(shape, 11, noise=0.2, factor=0.3, seed=5))
    np.testing.assert_allclose(points, expected, rtol=0, atol=1e-8)
    assert labels.tolist() == LABELS


def test_without_noise_the_points_lie_on_their_curves() -> None:
    points, labels = make_points(ShapeConfig("circles", 101, noise=0.0, factor=0.4))
    np.testing.assert_allclose(np.hypot(*points.T), np.where(labels, 0.4, 1.0), atol=1e-15)
    assert np.bincount(labels).tolist() == [50, 51]


def test_each_arm_of_a_spiral_turns_evenly() -> None:
    points, labels = make_points(ShapeConfig("spirals", 301, noise=0.0, arms=3, turns=1.5))
    assert np.bincount(labels).tolist() == [101, 100, 100]
    for arm in range(3):
        x, y = points[labels == arm].T
        radius = np.hypot(x, y)
        assert radius.max() == pytest.approx(1)
        angle = 2 * np.pi * (1.5 * radius + arm / 3)
        np.testing.assert_allclose([x, y], [radius * np.cos(angle), radius * np.sin(angle)], atol=1e-12)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"shape": "stars"}, "points.shape must be one of"),
        ({"size": 9}, "points.size must be at least 10"),
        ({"noise": -0.1}, "points.noise must be at least 0"),
        ({"factor": 1.0}, "points.factor must be at least 0 and below 1"),
        ({"arms": 1}, "points.arms must be at least 2"),
        ({"turns": 0.0}, "points.turns must be above 0"),
    ],
)
def test_bad_settings_are_refused(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ShapeConfig(**setting)
