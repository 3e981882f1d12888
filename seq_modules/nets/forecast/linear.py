"""Linear maps from the look-back to the horizon (Zeng et al. 2023).

B batch, L look-back, H horizon, C channels, Q numbers for each step and channel.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class NLinear(nn.Module):
    """One linear map, of what is left when the last value is subtracted; it is added again afterwards.

    Args:
        lookback: L.
        horizon: H.
        channels: C; each forecast is a map of the past of all of them.
        outputs: Q.
    """

    def __init__(self, lookback: int, horizon: int, channels: int, outputs: int) -> None:
        super().__init__()
        self.shape = (horizon, channels, outputs)
        self.linear = nn.Linear(lookback * channels, horizon * channels * outputs)

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        last = past[:, -1:]  # (B, 1, C)
        change = self.linear((past - last).flatten(1))  # (B, L·C) -> (B, H·C·Q)
        return change.unflatten(1, self.shape) + last[..., None]


class DLinear(nn.Module):
    """Two linear maps: of the trend, which is a moving average of the past, and of what is left.

    Args:
        lookback: L.
        horizon: H.
        channels: C.
        outputs: Q.
        kernel_size: Steps of the moving average, odd; before the first and after the last step it repeats their value.
    """

    def __init__(self, lookback: int, horizon: int, channels: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.shape, self.kernel_size = (horizon, channels, outputs), kernel_size
        self.trend = nn.Linear(lookback * channels, horizon * channels * outputs)
        self.seasonal = nn.Linear(lookback * channels, horizon * channels * outputs)

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        trend = moving_average(past, self.kernel_size)
        forecast = self.trend(trend.flatten(1)) + self.seasonal((past - trend).flatten(1))
        return forecast.unflatten(1, self.shape)


def moving_average(x: Tensor, kernel_size: int) -> Tensor:
    """Mean over ``kernel_size`` steps around each, (B, L, C) to (B, L, C); its ends are repeated."""
    half = kernel_size // 2
    padded = F.pad(x.mT, (half, half), mode="replicate")  # (B, L, C) -> (B, C, L + K - 1)
    return F.avg_pool1d(padded, kernel_size, stride=1).mT
