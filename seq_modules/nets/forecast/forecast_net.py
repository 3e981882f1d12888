"""The past of C series to their future: which net, whether the channels share it, whether windows are normalised.

B batch, L look-back, H horizon, C channels (series), Q numbers for each step and channel: 1, or one for each quantile.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seq_modules.nets.forecast.instance_norm import ReversibleNorm
from seq_modules.nets.forecast.linear import DLinear, NLinear
from seq_modules.nets.forecast.patch_transformer import PatchConfig, PatchTransformer
from seq_modules.nets.forecast.recurrent import RecurrentForecast
from seq_modules.nets.forecast.seasonal_naive import SeasonalNaive
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.text.transformer_encoder import TransformerEncoderConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice

Kind = Literal["seasonal_naive", "nlinear", "dlinear", "recurrent", "transformer"]
Channels = Literal["shared", "own", "joint"]
Norm = Literal["none", "plain", "affine"]


@dataclass(frozen=True)
class ForecastNetConfig:
    """A net that forecasts.

    Attributes:
        kind: "seasonal_naive" repeats the last season; "nlinear" and "dlinear" (Zeng et al. 2023) are linear maps;
            "recurrent" is an RNN, LSTM or GRU (group rnn); "transformer" reads patches (groups patches, transformer;
            Nie et al. 2023).
        channels: "shared": one net for all series, each forecast from its own past. "own": a net for each series.
            "joint": one net that reads and forecasts all series together.
        instance_norm: Reversible instance normalisation (Kim et al. 2022): "none", "plain" (a window's mean and
            deviation), or "affine" (with a learned gain and shift too).
        kernel_size: Steps of dlinear's moving average, an odd number.
        rnn: The recurrent net, of one direction.
        patches: The patches of the Transformer.
        transformer: The Transformer.

    Raises:
        UserError: A value is out of its range.
    """

    kind: Kind = "nlinear"
    channels: Channels = "shared"
    instance_norm: Norm = "none"
    kernel_size: int = 25
    rnn: RecurrentConfig = RecurrentConfig(cell="gru", hidden_size=64)
    patches: PatchConfig = PatchConfig()
    transformer: TransformerEncoderConfig = TransformerEncoderConfig(num_layers=2, dropout=0.1)

    def __post_init__(self) -> None:
        check_choice("net.kind", self.kind, Kind)
        check_choice("net.channels", self.channels, Channels)
        check_choice("net.instance_norm", self.instance_norm, Norm)
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise UserError(f"net.kernel_size must be an odd number, 1 or more, not {self.kernel_size}")
        if self.rnn.bidirectional:
            raise UserError("net.rnn.bidirectional must be false: the forecast is made of the last step's state")


class ForecastNet(nn.Module):
    """Foretells all channels, by one net or by one for each.

    Args:
        lookback: L.
        horizon: H.
        num_series: C.
        season: Steps of a season, of the naive forecast.
        quantiles: Levels of the Q quantiles; None makes one forecast, Q = 1.
        config: The net.

    Raises:
        UserError: Two values do not go together.
    """

    def __init__(
        self,
        lookback: int,
        horizon: int,
        num_series: int,
        season: int,
        quantiles: list[float] | None,
        config: ForecastNetConfig,
    ) -> None:
        super().__init__()
        self.channels, channels = config.channels, num_series if config.channels == "joint" else 1
        outputs = len(quantiles or [0.5])

        def make() -> nn.Module:
            net: nn.Module
            if config.kind == "seasonal_naive":
                net = SeasonalNaive(lookback, horizon, channels, quantiles, season)
            elif config.kind == "nlinear":
                net = NLinear(lookback, horizon, channels, outputs)
            elif config.kind == "dlinear":
                net = DLinear(lookback, horizon, channels, outputs, config.kernel_size)
            elif config.kind == "recurrent":
                net = RecurrentForecast(horizon, channels, outputs, config.rnn)
            else:
                net = PatchTransformer(lookback, horizon, channels, outputs, config.patches, config.transformer)
            affine = config.instance_norm == "affine"
            return net if config.instance_norm == "none" else ReversibleNorm(net, channels, affine)

        self.nets = nn.ModuleList(make() for _ in range(num_series if config.channels == "own" else 1))

    def forward(self, past: Tensor) -> Tensor:
        """(B, L, C) to (B, H, C, Q)."""
        if self.channels == "own":
            parts = [net(past[:, :, at : at + 1]) for at, net in enumerate(self.nets)]  # each (B, H, 1, Q)
            return torch.cat(parts, dim=2)
        if self.channels == "joint":
            return self.nets[0](past)
        batch, _, channels = past.shape
        rows = past.transpose(1, 2).reshape(batch * channels, -1, 1)  # (B, L, C) -> (B·C, L, 1)
        forecast = self.nets[0](rows).squeeze(2)  # (B·C, H, Q)
        return forecast.unflatten(0, (batch, channels)).transpose(1, 2)  # (B, H, C, Q)
