"""A recurrent net over the past, whose last state is mapped to the whole horizon at once.

B batch, L look-back, H horizon, C channels, Q numbers for each step and channel, W hidden width.
"""

from torch import Tensor, nn

from seq_modules.nets.rnn.recurrent import build_recurrent
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig


class RecurrentForecast(nn.Module):
    """Reads the past step by step. A direct forecast: no error of one step enters the next.

    Args:
        horizon: H.
        channels: C.
        outputs: Q.
        config: The recurrent net.
    """

    def __init__(self, horizon: int, channels: int, outputs: int, config: RecurrentConfig) -> None:
        super().__init__()
        self.shape = (horizon, channels, outputs)
        self.rnn = build_recurrent(channels, config)
        self.head = nn.Linear(self.rnn.output_size, horizon * channels * outputs)

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        states, _ = self.rnn(past)  # (B, L, W)
        return self.head(states[:, -1]).unflatten(1, self.shape)
