"""What an operation gives holds the result for every vector of the operands, in float64 and in float32."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from seq_modules.verification.ellipsoids import Array, Ellipsoids

Function = Callable[..., torch.Tensor]
SETS, WIDTH, SYMBOLS, SAMPLES = 6, 5, 4, 200


def random_sets(generator: np.random.Generator, scale: float) -> Ellipsoids:
    return Ellipsoids(
        generator.normal(size=(SETS, WIDTH)) * 2,
        generator.normal(size=(SETS, WIDTH, SYMBOLS)) * scale,
        np.abs(generator.normal(size=(SETS, WIDTH))) * scale / 10,
    )


def symbols(generator: np.random.Generator) -> Array:
    """Vectors e on the unit sphere, where a set has its farthest points, (samples, sets, symbols)."""
    drawn = generator.normal(size=(SAMPLES, SETS, SYMBOLS))
    return drawn / np.linalg.norm(drawn, axis=2, keepdims=True)


def vectors(sets: Ellipsoids, e: Array, generator: np.random.Generator) -> Array:
    """Vectors of the sets for given symbols, each coordinate almost at an end of its error."""
    ends = generator.choice([-0.999, 0.999], size=(len(e), *sets.radius.shape))
    return sets.centre + np.einsum("bne,sbe->sbn", sets.generators, e) + ends * sets.radius


WEIGHT = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32).astype(np.float64)
BIAS = np.random.default_rng(2).normal(size=(2, 3)).astype(np.float32).astype(np.float64)
OPERATIONS: dict[str, tuple[Callable[..., Ellipsoids], Function]] = {
    "affine": (
        lambda x, y: x.affine(WEIGHT, BIAS),
        lambda x, y: (
            x @ torch.as_tensor(WEIGHT).to(x).T + torch.as_tensor(BIAS[0]).to(x) + torch.as_tensor(BIAS[1]).to(x)
        ),
    ),
    "sum": (lambda x, y: (x + y).rounded(1, x.magnitude + y.magnitude), lambda x, y: x + y),
    "difference": (lambda x, y: (x + -y).rounded(1, x.magnitude + y.magnitude), lambda x, y: x - y),
    "product": (lambda x, y: (x * y).rounded(1, x.magnitude * y.magnitude), lambda x, y: x * y),
    "plus": (lambda x, y: x.plus(0.5).rounded(1, x.magnitude + 0.5), lambda x, y: x + 0.5),
    "halved": (lambda x, y: x.halved(), lambda x, y: x / 2),
    "tanh": (lambda x, y: x.tanh(), lambda x, y: x.tanh()),
    "sigmoid": (lambda x, y: x.sigmoid(), lambda x, y: x.sigmoid()),
}


@pytest.mark.parametrize("scale", [1e-9, 1e-2, 1.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_results_of_sampled_vectors_lie_inside(name: str, scale: float) -> None:
    on_sets, on_vectors = OPERATIONS[name]
    generator = np.random.default_rng(0)
    x, y, e = random_sets(generator, scale), random_sets(generator, scale), symbols(generator)
    made = on_sets(x, y)
    for dtype in (torch.float64, torch.float32):
        operands = [torch.tensor(vectors(s, e, generator)) for s in (x, y)]
        if dtype == torch.float32:  # the rounded vectors lie in sets that are wider by their rounding
            made = on_sets(*(s.widened(2.0**-23 * s.magnitude) for s in (x, y)))
        result = on_vectors(*(operand.to(dtype) for operand in operands)).double().numpy()
        expected = made.centre + np.einsum("bne,sbe->sbn", made.generators, e)
        assert (np.abs(result - expected) <= made.radius).all()
        low, high = made.bounds
        assert ((low <= result) & (result <= high)).all()


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_small_sets_keep_their_shape(name: str) -> None:
    generator = np.random.default_rng(0)
    x = random_sets(generator, 1e-3)
    made = OPERATIONS[name][0](x, x)
    assert (made.radius < x.radius + 1e-5).all()  # of the order of the squared deviation, and of the activation's error


def test_a_product_depends_on_both_signs() -> None:
    one = Ellipsoids(np.array([[2.0]]), np.array([[[1.0]]]), np.array([[0.0]]))
    low, high = (one * one).bounds
    assert (low[0, 0], high[0, 0]) == pytest.approx((-1, 9))  # 4 ± 4 ± 1, for 1 to 9
    assert (one + -one).deviation == pytest.approx(0, abs=1e-9)
