"""What the callbacks need of a datamodule.

B batch, T time, V vocabulary, D width, L layers, H heads, C classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from seqlight.music.notes import Piece


@runtime_checkable
class HasFeatures(Protocol):
    """Data of rows of numbers, each with a class."""

    feature_names: list[str]  # of the D columns

    def points(self, part: str) -> tuple[Tensor, Tensor]:
        """Numbers (N, D) and classes (N,) of "train", "val" or "test"."""
        ...


@runtime_checkable
class HasTexts(Protocol):
    """Data of one text each for training and test."""

    def train_text(self) -> str:
        """The text of the training part."""
        ...

    def test_text(self) -> str:
        """The text of the test part."""
        ...


@runtime_checkable
class HasTrainLength(Protocol):
    """Data whose training sequences have a longest length that can change between epochs."""

    train_max_length: int


@runtime_checkable
class HasSequences(Protocol):
    """Data that makes sequences of any length, for tests beyond the lengths of training."""

    def sequences(self, length: int, count: int) -> dict[str, Tensor]:
        """A batch of ``count`` sequences of exactly this length, the same at every call.

        Returns:
            ``input_ids`` and ``labels``, each (count, length).
        """
        ...


@runtime_checkable
class HasTestWindows(Protocol):
    """Data of windows of time series."""

    def test_windows(self, count: int) -> tuple[dict[str, Tensor], list[str]]:
        """A batch of windows that are spread over the test, and the dates at which their forecasts begin.

        The batch has scaled ``past_values`` (B, L, C) and ``future_values`` (B, H, C).

        Args:
            count: How many at most.
        """
        ...


@runtime_checkable
class HasPieces(Protocol):
    """Data of pieces of music."""

    def train_pieces(self) -> list[Piece]:
        """The pieces of the training part."""
        ...

    def test_pieces(self) -> list[Piece]:
        """The pieces of the test part."""
        ...


@runtime_checkable
class WritesMidi(Protocol):
    """Data that can write a piece of music as a MIDI file."""

    def write_midi(self, path: Path, piece: Piece) -> None:
        """Writes a piece to a MIDI file."""
        ...


@runtime_checkable
class WritesPredictions(Protocol):
    """Data that can write predictions in the format that it was read in."""

    def write_predictions(self, folder: Path, rows: Sequence[dict[str, Any]]) -> None:
        """Writes a file to a folder.

        Args:
            folder: The folder.
            rows: What ``predict_step`` returned, in the order of the data.
        """
        ...
