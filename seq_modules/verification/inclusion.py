"""Whether sets lie in ellipsoids, decided without an error of rounding.

The set c + G e + d lies in the ellipsoid m + P e if Q (c - m) + Q G e + Q d, with Q = P^-1, has a norm of at most 1.
This is a sum of terms Q b_k y_k with ‖y_k‖ ≤ 1: b is the vector c - m, the matrix G, and for each coordinate the
vector with r_i at its place. For weights w_k that sum to 1, Cauchy's inequality bounds the norm of the sum by the
largest singular value of Q [b_1 / √w_1, b_2 / √w_2, ...]. The weights decide how tight the bound is, and not whether
it holds.
"""

import numpy as np

from seq_modules.verification.ellipsoids import Array, Ellipsoids, up
from seq_modules.verification.rounding import SLACK


def weighted_terms(states: Ellipsoids, centres: Array, fraction: float) -> Array:
    """The matrices [b_1 / √w_1, b_2 / √w_2, ...] of B sets with E generators, (B, N, 1 + E + N).

    T Tᵀ of such a matrix T is the square of an ellipsoid around the centre that holds the set.

    Args:
        states: The sets.
        centres: m of each, (B, N).
        fraction: The largest sum of the weights of all but G, above 0 and at most 1. With 1 the weights may be in
            proportion to the terms' sizes, which gives small ellipsoids. But they widen G in all directions, also where
            a net contracts slowly.
    """
    count, width, symbols = states.generators.shape
    offset = states.centre - centres
    radius = up(states.radius + SLACK * (np.abs(states.centre) + np.abs(centres)))
    terms = [offset[..., None], radius[..., None] * np.eye(width), states.generators]
    weights = np.concatenate([np.linalg.norm(offset, axis=1, keepdims=True), radius], 1)
    size = np.sqrt((states.generators**2).sum((1, 2)))[:, None]  # of G, (B, 1)
    others = weights.sum(1, keepdims=True)
    others = np.where(size > 0, np.maximum(others + size, others / fraction), others)
    weights = np.maximum(weights / np.maximum(others, 1e-300), 1e-12) * (1 - 1e-9)
    roots = np.concatenate([weights, np.broadcast_to(1 - weights.sum(1, keepdims=True), (count, symbols))], 1)
    return np.concatenate(terms, 2) / np.sqrt(roots * (1 - SLACK))[:, None]


class Targets:
    """Ellipsoids {m + P e : ‖e‖₂ ≤ 1} in which other sets are to lie.

    Args:
        centres: m, (K, N).
        shapes: P, (K, N, N).
        fraction: See :func:`weighted_terms`.

    Attributes:
        inverses: Q, about P^-1, (K, N, N).
        norms: Bounds of ‖R‖ with R = I - Q P, (K,). Where it is below 1, P^-1 = (I - R)^-1 Q.
    """

    def __init__(self, centres: Array, shapes: Array, fraction: float) -> None:
        self.centres, self.shapes, self.fraction = centres, shapes, fraction
        self.inverses = np.linalg.inv(shapes)
        rounding = SLACK * (np.abs(self.inverses) @ np.abs(shapes) + 1)
        residual = np.abs(np.eye(shapes.shape[1]) - self.inverses @ shapes) + rounding
        self.norms = up(np.sqrt((residual**2).sum((1, 2))))

    @property
    def sets(self) -> Ellipsoids:
        """The ellipsoids themselves."""
        return Ellipsoids(self.centres, self.shapes, np.zeros_like(self.centres))

    def inside(self, states: Ellipsoids, at: Array) -> Array:
        """Which of the states surely lie in the targets that ``at`` names, (B,) booleans.

        That a symmetric matrix is positive definite is proved by its Cholesky decomposition in float64: when more than
        the rounding errors is subtracted from the diagonal, no other matrix has one (Rump 2006, Verification of
        positive definiteness).
        """
        inverse, centres, width = self.inverses[at], self.centres[at], states.centre.shape[1]
        terms = weighted_terms(states, centres, self.fraction)
        errors = SLACK * np.sqrt(((np.abs(inverse) @ np.abs(terms)) ** 2).sum((1, 2)))  # of the product, Frobenius norm
        matrices = inverse @ terms
        squares = matrices @ matrices.transpose(0, 2, 1)
        room = (1 - self.norms[at]) * (1 - SLACK) - up(errors)  # for the largest singular value
        slack = width * SLACK * (1 + np.trace(squares, axis1=1, axis2=2))
        found = (room > 0) & (room**2 > slack) & np.isfinite(squares).all((1, 2))
        for row in np.flatnonzero(found):
            found[row] = is_positive_definite((room[row] ** 2 - slack[row]) * np.eye(width) - squares[row])
        return found


def is_positive_definite(matrix: Array) -> bool:
    """Whether the Cholesky decomposition of a symmetric matrix exists."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
