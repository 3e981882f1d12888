"""Errors of forecasts: MSE, MAE, MASE, sMAPE, pinball loss, coverage of intervals.

B batch, H horizon, C series, Q quantiles. Each error is summed over windows and steps for every series by itself; a
target that was not observed counts nowhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric


class SeriesMean(Metric):
    """Mean of an error over all observed targets of all batches and ranks.

    A subclass's ``update`` calls :meth:`add` with the error of each target.

    Args:
        num_series: C.
    """

    full_state_update = False
    higher_is_better: bool | None = False
    total: Tensor
    count: Tensor

    def __init__(self, num_series: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(num_series), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(num_series, dtype=torch.long), dist_reduce_fx="sum")

    def add(self, errors: Tensor, observed: Tensor) -> None:
        """Adds errors (B, H, C) where the target was observed, (B, H, C)."""
        self.total += torch.where(observed, errors, 0.0).sum((0, 1))
        self.count += observed.sum((0, 1))

    def compute(self) -> Tensor:
        """The mean; NaN where no target was observed."""
        return self.total.sum() / self.count.sum()


class MeanSquaredError(SeriesMean):
    """MSE of scaled series, as the literature reports it."""

    def update(self, forecast: Tensor, target: Tensor, observed: Tensor) -> None:
        """Takes (B, H, C) each."""
        self.add((forecast - target).square(), observed)


class MeanAbsoluteError(SeriesMean):
    """MAE of scaled series, as the literature reports it."""

    def update(self, forecast: Tensor, target: Tensor, observed: Tensor) -> None:
        """Takes (B, H, C) each."""
        self.add((forecast - target).abs(), observed)


class MeanAbsoluteScaledError(MeanAbsoluteError):
    """MASE (Hyndman & Koehler 2006): MAE of a series over that of the seasonal naive forecast in training.

    The mean over the series; those on which the naive forecast makes no error are left out.

    Args:
        naive_errors: Of each of the C series, in the unit of the targets.
    """

    naive_errors: Tensor

    def __init__(self, naive_errors: Sequence[float]) -> None:
        super().__init__(len(naive_errors))
        self.register_buffer("naive_errors", torch.tensor(naive_errors, dtype=torch.float32), persistent=False)

    def compute(self) -> Tensor:
        """The mean over the series; NaN where none counts."""
        errors = self.total / self.count / self.naive_errors
        return errors[(self.naive_errors > 0) & (self.count > 0)].mean()


class SymmetricPercentageError(SeriesMean):
    """sMAPE (Makridakis 1993): the mean of 200 · |forecast - target| / (|forecast| + |target|), in per cent, 0 to 200.

    It is of values in their own unit, since it depends on where 0 is. Two zeros make no error.

    Args:
        center: What a scaled value is a distance from, of each of the C series.
        scale: The unit of that distance.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, center: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__(len(center))
        self.register_buffer("center", torch.tensor(center, dtype=torch.float32), persistent=False)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32), persistent=False)

    def update(self, forecast: Tensor, target: Tensor, observed: Tensor) -> None:
        """Takes scaled values, (B, H, C) each."""
        first, second = (value * self.scale + self.center for value in (forecast, target))
        size = first.abs() + second.abs()
        self.add(torch.where(size > 0, 200 * (first - second).abs() / size, 0.0), observed)


class PinballLoss(SeriesMean):
    """Mean pinball loss of the quantiles of scaled series (Koenker & Bassett 1978).

    Args:
        num_series: C.
        levels: Of the Q quantiles.
    """

    def __init__(self, num_series: int, levels: Sequence[float]) -> None:
        super().__init__(num_series)
        self.levels = list(levels)

    def update(self, quantiles: Tensor, target: Tensor, observed: Tensor) -> None:
        """Takes quantiles (B, H, C, Q), the others (B, H, C)."""
        self.add(pinball(quantiles, target, self.levels).mean(-1), observed)


class Coverage(SeriesMean):
    """Fraction of the targets that lie in the interval between two quantiles, both included.

    Args:
        num_series: C.
        low: Place of the lower quantile among the Q.
        high: Place of the upper one.
    """

    higher_is_better = None  # best where it is the interval's level

    def __init__(self, num_series: int, low: int, high: int) -> None:
        super().__init__(num_series)
        self.low, self.high = low, high

    def update(self, quantiles: Tensor, target: Tensor, observed: Tensor) -> None:
        """Takes quantiles (B, H, C, Q), the others (B, H, C)."""
        inside = (quantiles[..., self.low] <= target) & (target <= quantiles[..., self.high])
        self.add(inside.float(), observed)


def pinball(quantiles: Tensor, target: Tensor, levels: Sequence[float]) -> Tensor:
    """max(τ·d, (τ - 1)·d) with d = target - quantile, (..., Q), of quantiles (..., Q), targets (...) and levels τ."""
    level = torch.tensor(levels, dtype=quantiles.dtype, device=quantiles.device)
    distance = target[..., None] - quantiles
    return torch.maximum(level * distance, (level - 1) * distance)
