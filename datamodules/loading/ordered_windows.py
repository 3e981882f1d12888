"""Windows for evaluation, in which each label of a token stream counts exactly once."""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch
from datamodules.loading.token_windows import TokenStream, Windows
from seqlight.core.labels import IGNORED


class OrderedWindows(Windows):
    """Windows in order, in which each label of the stream counts exactly once.

    Args:
        stream: The ids, at least T + 1.
        seq_len: Length T of a window.
        characters: Number of characters that each id stands for (V,).
        stride: Distance between the starts of windows, 1 to T. Default: T (side by side). Of each window but the first
            only the last ``stride`` labels count, so that each has a context of at least T - stride ids. The last
            window may reach beyond the stream, where its labels are -100.
    """

    def __init__(self, stream: TokenStream, seq_len: int, characters: np.ndarray, stride: int | None = None) -> None:
        self.stride = stride or seq_len
        size = 1 + -(-max(0, len(stream) - 1 - seq_len) // self.stride)
        super().__init__(stream, seq_len, characters, size)

    def starts(self, index: np.ndarray) -> np.ndarray:
        return index * self.stride

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        batch = super().__getitems__(rows)
        index = batch["index"].numpy()
        places = np.arange(self.seq_len)
        first = np.where(index == 0, 0, self.seq_len - self.stride)
        end = len(self.stream) - 1 - self.starts(index)  # places of the window that have a label
        counted = (places >= first[:, None]) & (places < end[:, None])  # (B, T)
        characters = self.characters[batch["labels"].numpy()] * counted
        labels = batch["labels"].masked_fill(torch.from_numpy(~counted), IGNORED)
        return batch | {"labels": labels, "characters": torch.from_numpy(characters.sum(1))}
