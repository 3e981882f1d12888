"""Kim's convolutional net for sentences.

B batch, T time, D width of the inputs, F filters of each width, K greatest filter width, W = F · number of widths.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class CNNConfig:
    """Convolutions over a text.

    Attributes:
        num_filters: Filters of each width, F.
        kernel_sizes: Widths of the filters, in tokens; by default Kim's 3, 4 and 5.

    Raises:
        UserError: A value is out of its range.
    """

    num_filters: int = 100
    kernel_sizes: list[int] = field(default_factory=lambda: [3, 4, 5])

    def __post_init__(self) -> None:
        check_range("net.cnn.num_filters", self.num_filters, least=1)
        if not self.kernel_sizes or min(self.kernel_sizes) < 1:
            raise UserError(f"net.cnn.kernel_sizes must be one or more widths of at least 1, not {self.kernel_sizes}")


class TextCNN(nn.Module):
    """Filters over windows of words (Kim 2014, "Convolutional Neural Networks for Sentence Classification").

    As in Kim's program, every sentence stands between K - 1 zero vectors on both sides, so that the outermost words
    have as many windows as the others and a sentence may be shorter than a filter. His classifier is this with max
    pooling.

    Args:
        input_size: D.
        config: Number and widths of the filters.
    """

    def __init__(self, input_size: int, config: CNNConfig) -> None:
        super().__init__()
        num_filters, kernel_sizes = config.num_filters, config.kernel_sizes
        self.longest, self.output_size = max(kernel_sizes), num_filters * len(kernel_sizes)
        self.convolutions = nn.ModuleList(nn.Conv1d(input_size, num_filters, width) for width in kernel_sizes)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Feature maps, rectified.

        Args:
            x: Inputs, (B, T, D).
            mask: True at the words, (B, T), at the beginning of each row.

        Returns:
            (B, T + K - 1, W), of which number t belongs to the windows that end with word t, or t - T words behind the
            last one; and the mask of the windows that reach the sentence, (B, T + K - 1).
        """
        words = (x * mask.unsqueeze(-1).to(x.dtype)).mT  # (B, D, T)
        maps = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            padded = F.pad(words, (convolution.kernel_size[0] - 1, self.longest - 1))
            maps.append(convolution(padded))  # (B, F, T + K - 1), whatever the width
        ends = mask.sum(1, keepdim=True) + self.longest - 1  # (B, 1)
        reached = torch.arange(x.shape[1] + self.longest - 1, device=x.device) < ends
        return torch.cat(maps, dim=1).relu().mT, reached
