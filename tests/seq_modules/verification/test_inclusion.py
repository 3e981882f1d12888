"""Sets that are said to lie in an ellipsoid do, and those that lie well inside are found to."""

import numpy as np
import pytest

from seq_modules.verification.ellipsoids import Ellipsoids
from seq_modules.verification.inclusion import Targets

WIDTH = 4


@pytest.fixture(params=[1.0, 0.3])
def targets(request: pytest.FixtureRequest) -> Targets:
    generator = np.random.default_rng(0)
    spread = generator.normal(size=(3, WIDTH, WIDTH))
    shapes = np.linalg.cholesky(spread @ spread.transpose(0, 2, 1) + 0.01 * np.eye(WIDTH))
    return Targets(generator.normal(size=(3, WIDTH)), shapes, request.param)


def within(targets: Targets, size: float, offset: float, error: float) -> Ellipsoids:
    """Ellipsoids of that size in their targets' coordinates, moved by ``offset``, with a small box."""
    return Ellipsoids(
        targets.centres + offset * targets.shapes[:, :, 0],
        targets.shapes * size,
        np.full(targets.centres.shape, error),
    )


def test_small_sets_are_inside_and_large_ones_are_not(targets: Targets) -> None:
    at = np.arange(3)
    assert targets.inside(within(targets, 0.9, 0, 0), at).all()
    assert targets.inside(within(targets, 0.5, 0.2, 1e-4), at).all()
    assert not targets.inside(within(targets, 1.01, 0, 0), at).any()
    assert not targets.inside(within(targets, 0.6, 0.6, 0), at).any()
    assert not targets.inside(within(targets, 0.5, 0, 10), at).any()
    assert not targets.inside(within(targets, 0.9, 0, 0), (at + 1) % 3).any()
    assert not targets.inside(within(targets, float("nan"), 0, 0), at).any()


def test_no_vector_of_a_set_that_is_inside_lies_outside(targets: Targets) -> None:
    generator = np.random.default_rng(1)
    found = 0
    for _ in range(60):
        size, offset, error = generator.uniform(0, (1.0, 0.6, 0.02))
        states = within(targets, size, offset, error)
        inside = targets.inside(states, np.arange(3))
        found += int(inside.sum())
        e = generator.normal(size=(300, WIDTH))
        e /= np.linalg.norm(e, axis=1, keepdims=True)
        ends = generator.choice([-1.0, 1.0], size=(300, 1, WIDTH))
        x = states.centre + np.einsum("bne,se->sbn", states.generators, e) + ends * states.radius
        y = np.einsum("bij,sbj->sbi", np.linalg.inv(targets.shapes), x - targets.centres)
        assert (np.linalg.norm(y, axis=2)[:, inside] <= 1).all()
    assert 10 < found < 160


def test_a_shape_that_float64_cannot_invert_holds_nothing() -> None:
    at = np.arange(12)
    targets = Targets(np.zeros((1, 12)), 1 / (1.0 + at + at[:, None])[None], 1.0)  # Hilbert's matrix
    assert targets.norms[0] > 1
    assert not targets.inside(within(targets, 0.1, 0, 0), np.zeros(1, dtype=int)).any()
