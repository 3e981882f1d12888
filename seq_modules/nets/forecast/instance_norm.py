"""Reversible instance normalisation (RevIN, Kim et al. 2022): a window's mean and deviation, taken out and put back.

B batch, L look-back, H horizon, C channels, Q numbers for each step and channel.
"""

import torch
from torch import Tensor, nn

EPS = 1e-5  # added to the variance, as in the authors' code


class ReversibleNorm(nn.Module):
    """Around a net: normalises what it reads, and undoes that to what it forecasts.

    Args:
        net: (B, L, C) to (B, H, C, Q).
        channels: C.
        affine: Whether each channel has a learned gain and shift after the normalisation, undone as well.
    """

    def __init__(self, net: nn.Module, channels: int, affine: bool) -> None:
        super().__init__()
        self.net = net
        self.gain = nn.Parameter(torch.ones(channels)) if affine else None
        self.shift = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        mean = past.mean(1, keepdim=True)  # (B, 1, C)
        deviation = (past.var(1, keepdim=True, correction=0) + EPS).sqrt()
        x = (past - mean) / deviation
        if self.gain is None or self.shift is None:
            return self.net(x) * deviation[..., None] + mean[..., None]
        forecast = self.net(x * self.gain + self.shift)
        forecast = (forecast - self.shift[:, None]) / (self.gain[:, None] + EPS**2)
        return forecast * deviation[..., None] + mean[..., None]
