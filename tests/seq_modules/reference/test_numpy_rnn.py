"""Hand-written back-propagation through time against finite differences, with NumPy alone."""

from typing import Any

import numpy as np
import pytest

from seq_modules.reference.numpy_rnn import CELLS, backward, forward, sigmoid

B, D, H = 3, 2, 4
BLOCKS = {"lstm": 4, "gru": 3}
SIZES = {"full": [3, 3, 3], "ragged": [3, 2, 2, 1]}


def problem(cell: str, sizes: list[int]) -> tuple[list[Any], list[Any]]:
    """Rows, four weights and the states; and weights for a loss, by which every result counts differently."""
    draw = np.random.default_rng(0).normal
    blocks, states = BLOCKS.get(cell, 1) * H, 2 if cell == "lstm" else 1
    shapes = [(sum(sizes), D), (blocks, D), (blocks, H), (blocks,), (blocks,), *[(B, H)] * states]
    return [draw(size=shape) for shape in shapes], [draw(size=shape) for shape in [(sum(sizes), H), *[(B, H)] * states]]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_equal_finite_differences(cell: str, sizes: list[int], reverse: bool) -> None:
    leaves, loss_weights = problem(cell, sizes)

    def run() -> Any:
        return forward(cell, leaves[0], sizes, tuple(leaves[1:5]), tuple(leaves[5:]), reverse)

    def loss() -> float:
        outputs, states, _ = run()
        return sum(float((a * w).sum()) for a, w in zip((outputs, *states), loss_weights, strict=True))

    before = [leaf.copy() for leaf in leaves]
    d_rows, d_weights, d_states = backward(run()[2], loss_weights[0], tuple(loss_weights[1:]))
    for leaf, same in zip(leaves, before, strict=True):
        np.testing.assert_array_equal(leaf, same)  # arguments are left alone

    step = 1e-5
    for leaf, gradient in zip(leaves, (d_rows, *d_weights, *d_states), strict=True):
        numeric = np.empty_like(leaf)
        for index in np.ndindex(leaf.shape):
            value = leaf[index]
            leaf[index] = value + step
            above = loss()
            leaf[index] = value - step
            numeric[index] = (above - loss()) / (2 * step)
            leaf[index] = value
        np.testing.assert_allclose(gradient, numeric, rtol=0, atol=2e-8)


def test_one_step_by_hand() -> None:
    """Sums of ln 3, whose sigmoid is 3/4 and whose tanh is 4/5; from h = 2, c = 1."""
    ln3 = np.full((1, 1), np.log(3))
    h, c = np.full((1, 1), 2.0), np.full((1, 1), 1.0)
    expected = {"rnn_tanh": 4 / 5, "rnn_sigmoid": 3 / 4, "rnn_relu": np.log(3)}
    for cell, value in expected.items():
        np.testing.assert_allclose(CELLS[cell][0](0.25 * ln3, 0.75 * ln3, (h,))[0], [[[value]]])
    four = np.repeat(ln3, 4, axis=1)
    (h_after, c_after), _ = CELLS["lstm"][0](0.25 * four, 0.75 * four, (h, c))
    np.testing.assert_allclose(c_after, [[3 / 4 * 1 + 3 / 4 * 4 / 5]])
    np.testing.assert_allclose(h_after, 3 / 4 * np.tanh(c_after))
    x = np.array([[0.0, 0.0, np.log(3) / 4]])
    u = np.array([[np.log(3), np.log(3), np.log(3)]])  # r ⊙ u_n = 3/4 ln 3
    np.testing.assert_allclose(CELLS["gru"][0](x, u, (h,))[0], [[[1 / 4 * 4 / 5 + 3 / 4 * 2]]])


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])
