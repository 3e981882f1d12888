"""Metrics of sets of pitches. N frames, S places."""

from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from seq_modules.training.metrics.means import Fraction

Part = Literal["clean", "leaked"]


class NatsPerFrame(Metric):
    """Mean negative log-likelihood of a frame, over the pieces of one part of the data.

    Args:
        part: "leaked" counts the pieces whose melody stands in the training set, "clean" the others. Without any of
            its pieces a part has no mean: the value is NaN.
    """

    higher_is_better = False
    full_state_update = False
    nats_sum: Tensor
    frames: Tensor

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.part = part
        self.add_state("nats_sum", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("frames", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, nats: Tensor, leaked: Tensor) -> None:
        """Takes the frames' nats (N,), and whether each is of a leaked piece (N,)."""
        counted = leaked == (self.part == "leaked")
        self.nats_sum += nats[counted].to(self.nats_sum.dtype).sum()
        self.frames += counted.sum()

    def compute(self) -> Tensor:
        """Nats a frame, at least 0."""
        return (self.nats_sum / self.frames).float()


class FrameAccuracy(Fraction):
    """Pitches right among those right, missed and wrongly added: TP / (TP + FN + FP) over all frames.

    The accuracy of multiple pitch estimation (Bay, Ehmann & Downie, ISMIR 2009), by which Boulanger-Lewandowski et al.
    (ICML 2012) judge the prediction of the next frame. A silent frame that is foreseen counts for nothing.
    """

    def update(self, predicted: Tensor, frame: Tensor, end: Tensor) -> None:
        """Takes the ids of predicted and of true frames, both (N, S), and END, from which on they are no pitches."""
        pitches = frame < end
        there = predicted < end
        right = ((predicted[:, :, None] == frame[:, None]) & there[:, :, None]).sum()
        self.right += right
        self.total += pitches.sum() + there.sum() - right


class ExactFrames(Fraction):
    """Share of the frames that are predicted with all their pitches and no other."""

    def update(self, predicted: Tensor, frame: Tensor) -> None:
        """Takes the ids of predicted and of true frames, both (N, S)."""
        self.right += (predicted == frame).all(1).sum()
        self.total += len(frame)
