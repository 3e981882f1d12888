"""A collection of metrics that Lightning's "true" precisions leave in float32."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchmetrics import MetricCollection


class ExactMetrics(MetricCollection):
    """torchmetrics' collection, whose sums move with the module from device to device, but keep their precision.

    ``precision: bf16-true`` converts all that a module has. A sum of losses in bf16 has two or three digits, and stops
    growing where a batch adds less than a 256th of it.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> "ExactMetrics":
        """torch's hook for all conversions."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), *args, **kwargs)
