"""Sets of vectors, and what sums, products and activations make of them, for every vector of a set at once.

A set is an ellipsoid plus a box, {c + G e + d : ‖e‖₂ ≤ 1, |d_i| ≤ r_i}. The generators G keep track of how coordinates
depend on each other, so that a matrix product widens nothing. The radius r holds what depends on nothing else: errors
of linear approximations and of rounding. With |e_j| ≤ 1 in place of the norm these would be zonotopes (Ghorbal,
Goubault & Putot 2009); ellipsoids suit nets that contract slowly, whose steps shrink the Euclidean norm in suitable
coordinates.

Letters: B sets of one shape are held together; N coordinates, E generators.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from seq_modules.verification.rounding import ACTIVATION_ERROR, SLACK, SMALLEST_FLOAT32, TINY, float32_error

Array = np.ndarray[Any, np.dtype[Any]]


def up(x: Array) -> Array:
    """A bound of the exact number that ``x`` is the float64 result for, a sum of products of non-negative numbers."""
    return x * (1 + SLACK) + TINY


@dataclass(frozen=True)
class Ellipsoids:
    """B sets {c + G e + d : ‖e‖₂ ≤ 1, |d| ≤ r}.

    An operation gives a set that holds the exact result for every vector of its operands. Sums and products of two sets
    need common generators.

    Attributes:
        centre: c, (B, N).
        generators: G, (B, N, E).
        radius: r, (B, N), not negative.
    """

    centre: Array
    generators: Array
    radius: Array

    @classmethod
    def points(cls, centre: Array) -> "Ellipsoids":
        """Sets of one vector each, (B, N)."""
        return cls(centre, np.zeros((*centre.shape, 0)), np.zeros_like(centre))

    @property
    def deviation(self) -> Array:
        """Largest distance of each coordinate from the centre, (B, N)."""
        return up(np.sqrt((self.generators**2).sum(-1)) + self.radius)

    @property
    def magnitude(self) -> Array:
        """Largest absolute value of each coordinate, (B, N)."""
        return up(np.abs(self.centre) + self.deviation)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest value of each coordinate, (B, N) both, rounded outwards."""
        margin = up(self.deviation + SLACK * np.abs(self.centre))
        return self.centre - margin, self.centre + margin

    def coordinates(self, at: slice) -> "Ellipsoids":
        """Some coordinates alone."""
        return Ellipsoids(self.centre[:, at], self.generators[:, at], self.radius[:, at])

    def rows(self, at: Array) -> "Ellipsoids":
        """Some of the sets."""
        return Ellipsoids(self.centre[at], self.generators[at], self.radius[at])

    def widened(self, by: Array | float) -> "Ellipsoids":
        """The same with a radius that is larger by ``by``, (B, N) or a number, not negative."""
        return Ellipsoids(self.centre, self.generators, up(self.radius + by))

    def rounded(self, operations: int, magnitude: Array) -> "Ellipsoids":
        """The same, computed in float32.

        Args:
            operations: How many operations a float32 program does one after the other.
            magnitude: Largest sum of absolute values of what it adds, (B, N).
        """
        return self.widened(float32_error(operations) * magnitude + operations * SMALLEST_FLOAT32)

    def affine(self, weight: Array, bias: Array) -> "Ellipsoids":
        """W x plus biases, computed in float32 in any order.

        Args:
            weight: W, (M, N).
            bias: What is added to the product, term by term, (K, M).
        """
        magnitude = up(self.magnitude @ np.abs(weight).T + np.abs(bias).sum(0))
        exact = Ellipsoids(
            self.centre @ weight.T + bias.sum(0),
            weight @ self.generators,
            up(self.radius @ np.abs(weight).T + SLACK * magnitude),
        )
        return exact.rounded(weight.shape[1] + len(bias), magnitude)

    def plus(self, constant: Array | float) -> "Ellipsoids":
        """x plus a vector, (N,), or a number."""
        slack = SLACK * (self.magnitude + np.abs(constant))
        return Ellipsoids(self.centre + constant, self.generators, up(self.radius + slack))

    def halved(self) -> "Ellipsoids":
        """x / 2, which float64 does not round."""
        return Ellipsoids(self.centre / 2, self.generators / 2, self.radius / 2)

    def __neg__(self) -> "Ellipsoids":
        return Ellipsoids(-self.centre, -self.generators, self.radius)

    def __add__(self, other: "Ellipsoids") -> "Ellipsoids":
        slack = SLACK * (self.magnitude + other.magnitude)
        return Ellipsoids(
            self.centre + other.centre, self.generators + other.generators, up(self.radius + other.radius + slack)
        )

    def __mul__(self, other: "Ellipsoids") -> "Ellipsoids":
        """Coordinate by coordinate: with x = x0 + dx and y = y0 + dy it is x0 y0 + x0 dy + y0 dx + dx dy.

        The last term goes to the radius.
        """
        x0, y0 = self.centre, other.centre
        beyond = np.abs(x0) * other.radius + np.abs(y0) * self.radius + self.deviation * other.deviation
        return Ellipsoids(
            x0 * y0,
            x0[..., None] * other.generators + y0[..., None] * self.generators,
            up(beyond + SLACK * self.magnitude * other.magnitude),
        )

    def tanh(self) -> "Ellipsoids":
        """tanh(x), computed in float32."""
        return self.exact_tanh().widened(ACTIVATION_ERROR)

    def sigmoid(self) -> "Ellipsoids":
        """σ(x) = ½ + ½ tanh(x / 2), computed in float32."""
        return self.halved().exact_tanh().halved().plus(0.5).widened(ACTIVATION_ERROR)

    def exact_tanh(self) -> "Ellipsoids":
        """tanh(x), which lies between two parallel lines.

        Their slope s is that of the chord. tanh(x) - s x is largest and smallest at an end of the interval of x, or
        where the derivative 1 - tanh² is s. This is so for every s, so that s needs no exact arithmetic.
        """
        low, high = self.bounds
        slope = np.clip((np.tanh(high) - np.tanh(low)) / np.maximum(high - low, 1e-6), 0, 1)
        turn = np.arctanh(np.minimum(np.sqrt(1 - slope), 1 - 2.0**-53))
        at = np.stack([low, high, np.clip(turn, low, high), np.clip(-turn, low, high)])
        distance = np.tanh(at) - slope * at
        top, bottom = distance.max(0), distance.min(0)
        error = (top - bottom) / 2 + SLACK * (1 + slope * self.magnitude)
        return Ellipsoids(
            slope * self.centre + (top + bottom) / 2,
            slope[..., None] * self.generators,
            up(slope * self.radius + error),
        )
