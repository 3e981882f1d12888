"""Frames (sets of pitches) as rows of ids that always rise, and back.

P pitches of the range, S places of a frame, T frames.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from datamodules.tokenizers.stateful import Stateful
from seqlight.core.errors import UserError

Order = Literal["falling", "rising"]
HIGHEST_PITCH = 127


class FrameTokenizer(Stateful):
    """Sets of at most S pitches to (T, S) ids, and back.

    Ids 0 to P - 1 are the pitches, counted from the highest down or from the lowest up, so that the ids of a frame rise
    whichever end it is read from; then END, behind the last pitch of a frame with fewer than S, and START, all that
    stands before a piece. As each set is written in one way alone, the probabilities of the ways add up to the sets'.

    Args:
        lowest: Lowest MIDI pitch.
        highest: Highest.
        frame_size: Pitches that sound together at most, S.
        order: Which pitch of a frame comes first: the highest ("falling") or the lowest.

    Attributes:
        num_pitches: P.
        end_id, start_id: P and P + 1; vocab_size is P + 2.

    Raises:
        ValueError: An argument is none that frames could have.
    """

    kind = "frames"

    def __init__(self, lowest: int = 21, highest: int = 108, frame_size: int = 4, order: Order = "falling") -> None:
        whole = all(isinstance(n, int) for n in (lowest, highest, frame_size))  # what comes from a file may be anything
        if not whole or not 0 <= lowest <= highest <= HIGHEST_PITCH:
            raise UserError(f"lowest {lowest} and highest {highest} are no range of MIDI pitches, 0 to 127")
        if not 1 <= frame_size <= highest - lowest + 1:
            raise UserError(f"frame_size {frame_size} must be from 1 to the {highest - lowest + 1} pitches that are")
        if order not in get_args(Order):
            raise UserError(f"order {order!r} is not known; give falling or rising")
        self.lowest, self.highest, self.frame_size, self.order = lowest, highest, frame_size, order
        self.num_pitches = highest - lowest + 1
        self.end_id, self.start_id, self.vocab_size = self.num_pitches, self.num_pitches + 1, self.num_pitches + 2

    def encode(self, frames: Sequence[Iterable[int]]) -> np.ndarray:
        """Ids (T, S) of frames: rising, filled up with END.

        Raises:
            ValueError: A pitch is beyond the range, or a frame holds more than S.
        """
        ids = np.full((len(frames), self.frame_size), self.end_id, dtype=np.int64)
        for at, frame in enumerate(frames):
            pitches = set(frame)
            if len(pitches) > self.frame_size:
                raise UserError(f"frame_size {self.frame_size}: frame {at} holds {len(pitches)} pitches; give more")
            if pitches and not self.lowest <= min(pitches) <= max(pitches) <= self.highest:
                raise UserError(
                    f"lowest {self.lowest} and highest {self.highest}: frame {at}, {sorted(pitches)}, is beyond; widen "
                    "the range"
                )
            ids[at, : len(pitches)] = sorted(map(self._id, pitches))
        return ids

    def decode(self, ids: np.ndarray) -> list[tuple[int, ...]]:
        """The frames that ids (T, S) stand for, each rising in pitch; what stands behind END, or is none, is left out.

        Ids that do not rise are read as the set that they are.
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
