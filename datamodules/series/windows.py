"""Windows of series: what a forecast reads and what it is to forecast, and how time is split.

N rows of the series, C series, B windows, L look-back, H horizon. The origin of a window is its first row to forecast:
it reads rows origin - L to origin - 1, and forecasts rows origin to origin + H - 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.loading.batch_dataset import Batch, BatchDataset
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class TimeSplit:
    """Three parts of the rows, one after the other: training, validation, test.

    A window belongs to the part that holds all of its targets; what it reads may lie in the part before.

    Attributes:
        val_fraction: Fraction of the rows for validation, above 0 and below 1.
        test_fraction: Fraction of the rows for the test, the last ones, above 0 and below 1.
        rows: Numbers of rows of training, validation and test in the place of fractions. Rows beyond their sum are not
            used. ETTh1 of the literature is [8640, 2880, 2880].

    Raises:
        UserError: A value is out of its range, or no training is left.
    """

    val_fraction: float = 0.1
    test_fraction: float = 0.2
    rows: list[int] | None = None

    def __post_init__(self) -> None:
        check_range("split.val_fraction", self.val_fraction, above=0, below=1)
        check_range("split.test_fraction", self.test_fraction, above=0, below=1)
        if self.val_fraction + self.test_fraction >= 1:
            raise UserError(f"split.val_fraction and split.test_fraction ({self.test_fraction}) leave no training")
        if self.rows is not None and (len(self.rows) != 3 or min(self.rows) < 1):
            raise UserError(f"split.rows must be three numbers of at least 1 (train, val, test), not {self.rows}")

    def parts(self, size: int) -> dict[str, range]:
        """The rows of "train", "val" and "test", of N = ``size`` rows.

        Raises:
            UserError: There are fewer rows than ``rows`` names.
        """
        if self.rows is None:
            val, test = int(self.val_fraction * size), int(self.test_fraction * size)
            lengths = [size - val - test, val, test]
        else:
            lengths = self.rows
            if sum(lengths) > size:
                raise UserError(f"split.rows {lengths} are {sum(lengths)} rows, but the series have {size}")
        train, val, test = lengths
        return {
            "train": range(train),
            "val": range(train, train + val),
            "test": range(train + val, train + val + test),
        }


class SeriesWindows(BatchDataset):
    """Every window whose targets lie in a part.

    A batch has ``past_values`` (B, L, C), ``future_values`` (B, H, C), ``observed`` (B, H, C), which is false where a
    target was filled in, and ``index`` (B,).

    Args:
        values: (N, C), scaled, in float32.
        observed: (N, C) truth values.
        origins: Rows at which the windows begin to forecast.
        lookback: L.
        horizon: H.
    """

    def __init__(self, values: Tensor, observed: Tensor, origins: range, lookback: int, horizon: int) -> None:
        self.values, self.observed = values, observed
        self.origins, self.lookback, self.horizon = origins, lookback, horizon

    def __len__(self) -> int:
        return len(self.origins)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        index = torch.tensor(rows)
        places = self.origins.start + index[:, None] + torch.arange(-self.lookback, self.horizon)  # (B, L + H)
        window = self.values[places]
        return {
            "past_values": window[:, : self.lookback],
            "future_values": window[:, self.lookback :],
            "observed": self.observed[places[:, self.lookback :]],
            "index": index,
        }


class NextWindow(BatchDataset):
    """The one window that follows the last row.

    A batch has ``past_values`` (1, L, C), ``dates``, the H dates of the forecast in a list, and ``index`` (1,).

    Args:
        values: (N, C), scaled, in float32, with N at least L.
        dates: Of the H rows after the last.
        lookback: L.
    """

    def __init__(self, values: Tensor, dates: list[str], lookback: int) -> None:
        self.past = values[-lookback:]
        self.dates = dates

    def __len__(self) -> int:
        return 1

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        count = len(rows)
        return {
            "past_values": self.past.expand(count, -1, -1), "dates": [self.dates] * count, "index": torch.tensor(rows)
        }  # fmt: skip


def origins_of(part: range, name: str, lookback: int, horizon: int) -> range:
    """Origins of the windows whose targets lie in a part, and which have a look-back.

    Raises:
        UserError: There is none.
    """
    first = max(part.start, lookback)
    origins = range(first, part.stop - horizon + 1)
    if not origins:
        raise UserError(
            f"data.lookback {lookback} and data.horizon {horizon} leave no window in the {len(part)} rows of {name}; "
            "make them smaller, or give more rows"
        )
    return origins
