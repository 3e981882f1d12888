"""Frames (sets of pitches) as rows of ids that always rise, and back.

P pitches of the range, S pitches of a frame at most, T frames.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from datamodules.tokenizers.stateful import Stateful
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_choice, check_range

Order = Literal["falling", "rising"]
HIGHEST_PITCH = 127


class FrameTokenizer(Stateful):
    """Sets of at most S pitches to (T, S) ids, and back.

    Ids 0 to P - 1 are the pitches, counted from the highest down or from the lowest up. The ids of a frame rise in both
    cases. END follows the last pitch of a frame with fewer than S pitches. START fills the frame before a piece. Each
    set of pitches has exactly one spelling, so the probability of a spelling is that of the set.

    Args:
        lowest: Lowest MIDI pitch.
        highest: Highest.
        frame_size: Most pitches of a frame, S.
        order: Which pitch of a frame comes first: the highest ("falling") or the lowest.

    Attributes:
        num_pitches: P.
        end_id, start_id: P and P + 1; vocab_size is P + 2.

    Raises:
        UserError: A value is out of its range.
    """

    kind = "frames"

    def __init__(self, lowest: int = 21, highest: int = 108, frame_size: int = 4, order: Order = "falling") -> None:
        for name, value in (("lowest", lowest), ("highest", highest), ("frame_size", frame_size)):
            if not isinstance(value, int):  # a damaged checkpoint may hold anything
                raise UserError(f"{name} must be a whole number, not {value!r}")
        check_range("lowest", lowest, least=0, most=HIGHEST_PITCH)
        check_range("highest", highest, least=lowest, most=HIGHEST_PITCH)
        check_range("frame_size", frame_size, least=1, most=highest - lowest + 1)
        check_choice("order", order, Order)
        self.lowest, self.highest, self.frame_size, self.order = lowest, highest, frame_size, order
        self.num_pitches = highest - lowest + 1
        self.end_id, self.start_id, self.vocab_size = self.num_pitches, self.num_pitches + 1, self.num_pitches + 2

    def encode(self, frames: Sequence[Iterable[int]]) -> np.ndarray:
        """Ids (T, S) of frames: rising, filled up with END.

        Raises:
            UserError: A pitch is outside the range, or a frame has more than S pitches.
        """
        ids = np.full((len(frames), self.frame_size), self.end_id, dtype=np.int64)
        for at, frame in enumerate(frames):
            pitches = set(frame)
            if len(pitches) > self.frame_size:
                raise UserError(f"frame_size {self.frame_size}: frame {at} holds {len(pitches)} pitches; give more")
            if pitches and not self.lowest <= min(pitches) <= max(pitches) <= self.highest:
                raise UserError(
                    f"lowest {self.lowest} and highest {self.highest}: frame {at}, {sorted(pitches)}, is outside; "
                    "widen the range"
                )
            ids[at, : len(pitches)] = sorted(map(self._id, pitches))
        return ids

    def decode(self, ids: np.ndarray) -> list[tuple[int, ...]]:
        """The frames of ids (T, S), each rising in pitch. Ids from END or START on are ignored.

        Ids that do not rise are read as the set of their pitches.
        """
        return [tuple(sorted(set(self._pitches(row)))) for row in np.asarray(ids).tolist()]

    def _pitches(self, row: list[int]) -> Iterable[int]:
        for number in row:
            if not 0 <= number < self.num_pitches:
                return
            yield self.highest - number if self.order == "falling" else self.lowest + number

    def _id(self, pitch: int) -> int:
        """The id of a pitch."""
        return self.highest - pitch if self.order == "falling" else pitch - self.lowest

    def state(self) -> dict[str, Any]:
        """Plain data for the checkpoint."""
        sizes = {"lowest": self.lowest, "highest": self.highest, "frame_size": self.frame_size}
        return {"kind": self.kind, **sizes, "order": self.order}
