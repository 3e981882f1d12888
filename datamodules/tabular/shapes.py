"""Points in the plane in classes that no straight line separates: circles, moons and spirals."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from seqlight.core.hyperparameters import check_choice, check_range

Shape = Literal["circles", "moons", "spirals"]
Points = tuple[np.ndarray, np.ndarray]  # features (N, 2) in float64, labels (N,)
FEATURES = ["x", "y"]


@dataclass(frozen=True)
class ShapeConfig:
    """Points in the plane that are made on the fly.

    Attributes:
        shape: "circles" (one inside the other), "moons" (two half circles that interlock), or "spirals".
        size: Number of points N, at least 10.
        noise: Standard deviation of the Gaussian noise on both coordinates, 0 or more.
        factor: Radius of the inner circle; that of the outer one is 1.
        arms: Spirals, which are the classes; at least 2.
        turns: Turns of a spiral, above 0.
        seed: Seed of the points; runs of different seeds (``--seed_everything``) share them.

    Raises:
        UserError: A value is out of its range.
    """

    shape: Shape = "circles"
    size: int = 1000
    noise: float = 0.2
    factor: float = 0.5
    arms: int = 3
    turns: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("points.shape", self.shape, Shape)
        check_range("points.size", self.size, least=10)
        check_range("points.noise", self.noise, least=0)
        check_range("points.factor", self.factor, least=0, below=1)
        check_range("points.arms", self.arms, least=2)
        check_range("points.turns", self.turns, above=0)
        check_range("points.seed", self.seed, least=0, most=2**32 - 1)  # the generator takes no others

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.arms if self.shape == "spirals" else 2


def make_points(config: ShapeConfig) -> Points:
    """Features (N, 2) and labels (N,) in random order.

    Circles and moons are those of scikit-learn's ``make_circles`` and ``make_moons`` with ``random_state=seed``.
    """
    random = np.random.RandomState(config.seed)  # scikit-learn's generator
    if config.shape == "circles":
        points, labels = circles(config.size, config.factor)
    elif config.shape == "moons":
        points, labels = moons(config.size)
    else:
        points, labels = spirals(config.size, config.arms, config.turns)
    order = np.arange(config.size)
    random.shuffle(order)
    points, labels = points[order], labels[order]
    if config.noise:
        points = points + random.normal(scale=config.noise, size=points.shape)
    return points, labels


def circles(size: int, factor: float) -> Points:
    """Class 0 on a circle of radius 1, class 1 on one of radius ``factor``."""
    outer, inner = (np.linspace(0, 2 * np.pi, count, endpoint=False) for count in (size // 2, size - size // 2))
    return _in_classes(_polar(1.0, outer), factor * _polar(1.0, inner))


def moons(size: int) -> Points:
    """Class 0 on the upper half of a circle, class 1 on the lower half of one that is shifted by (1, 0.5)."""
    upper, lower = (np.linspace(0, np.pi, count) for count in (size // 2, size - size // 2))
    return _in_classes(_polar(1.0, upper), np.column_stack((1 - np.cos(lower), 1 - np.sin(lower) - 0.5)))


def spirals(size: int, arms: int, turns: float) -> Points:
    """Each class on an Archimedean spiral from the centre to radius 1, with as many points on each length of it."""
    parts = []
    for arm in range(arms):
        radius = np.sqrt(np.linspace(0, 1, size // arms + (arm < size % arms)))  # length grows as its square
        parts.append(_polar(radius, 2 * np.pi * (turns * radius + arm / arms)))
    return _in_classes(*parts)


def _polar(radius: np.ndarray | float, angle: np.ndarray) -> np.ndarray:
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


def _in_classes(*parts: np.ndarray) -> Points:
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.concatenate(parts), labels
