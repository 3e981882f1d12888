"""The forecast that each later forecast has to beat: what was a season ago.

B batch, L look-back, H horizon, C channels, Q numbers for each step and channel.
"""

import torch
from torch import Tensor, nn

from seqlight.core.errors import UserError


class SeasonalNaive(nn.Module):
    """Repeats the last season.

    Quantiles are distances from it that are learned, one for each step and channel; the median has the distance 0. With
    one number for each step nothing is learned.

    Args:
        lookback: L, at least the season.
        horizon: H.
        channels: C.
        quantiles: Levels of the Q quantiles; None makes one forecast.
        season: Steps of a season; 1 repeats the last value.

    Raises:
        UserError: The look-back is shorter than a season.
    """

    places: Tensor
    learned: Tensor

    def __init__(self, lookback: int, horizon: int, channels: int, quantiles: list[float] | None, season: int) -> None:
        super().__init__()
        if lookback < season:
            raise UserError(
                f"net.kind seasonal_naive reads a season of {season} steps, and lookback {lookback} is less"
            )
        learned = torch.tensor([level != 0.5 for level in quantiles or [0.5]])
        self.distances = nn.Parameter(torch.zeros(horizon, channels, len(learned)))
        self.register_buffer("places", torch.arange(horizon) % season - season, persistent=False)
        self.register_buffer("learned", learned, persistent=False)

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        # A product with 0 keeps the loss a function of the parameters, without which no training step is possible.
        return past[:, self.places, :, None] + self.distances * self.learned
