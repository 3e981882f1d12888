"""Which ids the fields of an event may have.

B rows, F fields, V_f vocabulary of field f.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.core.errors import UserError

Event = tuple[int, ...]


class Rules:
    """Which ids an event may have, so that every event is well formed.

    The first field's START is never chosen. With its END all other fields have id 0, which they have in no other event.

    Args:
        vocab_sizes: V_f of each field.
        start_id: START, an id of the first field.
        end_id: END, an id of the first field.
        allowed: For each field a boolean for each id: whether it may ever be chosen. By default all may.
        may_end: Whether END may be chosen. The first new event is never END.
        together: The first field's id of an event at the same time as the event before it. Events of one time are
            sorted by their other fields, the second field first, and may be equal (two voices in unison). None: there
            is no such id.

    Raises:
        UserError: A field is left without an id.
    """

    def __init__(
        self,
        vocab_sizes: Sequence[int],
        start_id: int,
        end_id: int,
        allowed: Sequence[Sequence[bool]] | None = None,
        may_end: bool = True,
        together: int | None = None,
    ) -> None:
        self.end_id, self.may_end, self.together = end_id, may_end, together
        self.allowed = [
            torch.ones(size, dtype=torch.bool) if allowed is None else torch.tensor(allowed[field])
            for field, size in enumerate(vocab_sizes)
        ]
        self.allowed[0][[start_id, end_id]] = False
        for field, ids in enumerate(self.allowed):
            if field:
                ids[0] = False
            if not ids.any():
                raise UserError(f"allowed: field {field} has no id left to choose")
        self.highest = [int(ids.nonzero().max()) for ids in self.allowed]

    def to(self, device: torch.device) -> "Rules":
        """The rules themselves, with their tensors on a device."""
        self.allowed = [ids.to(device) for ids in self.allowed]
        return self

    def begin(self, prompts: Sequence[Sequence[Event]]) -> None:
        """Reads the prompts, once, before the first choice. Here nothing is kept: the last event alone matters."""

    def follow(self, events: Tensor) -> None:
        """Reads the events that were chosen, (B, F), after each step."""

    def mask(self, field: int, chosen: list[Tensor], before: Tensor, first: bool) -> Tensor:
        """Whether each id of a field may be chosen now, (B, V_f). In every row at least one may.

        Args:
            field: Number of the field.
            chosen: The event's earlier fields, (B,) each.
            before: The event before, (B, F).
            first: Whether this is the first new event.
        """
        may = self.allowed[field].repeat(len(before), 1)
        if field == 0:
            may[:, self.end_id] = self.may_end and not first
            if self.together is not None:
                may[:, self.together] &= self._may_follow(before, 1)
                may[:, self.end_id] |= ~may.any(1)
            return may
        if self.together is not None:
            tied = chosen[0] == self.together  # and equal to the event before in the fields from 1 to field - 1
            for earlier in range(1, field):
                tied = tied & (chosen[earlier] == before[:, earlier])
            ids, last = torch.arange(may.shape[1], device=may.device), before[:, field, None]
            follows = (ids > last) | ((ids == last) & self._may_follow(before, field + 1)[:, None])  # (B, V_f)
            may &= follows | ~tied[:, None]
        ended = chosen[0] == self.end_id
        may &= ~ended[:, None]
        may[:, 0] = ended
        return may

    def _may_follow(self, before: Tensor, field: int) -> Tensor:
        """Whether allowed ids exist for the fields from ``field`` on that do not sort below the event before, (B,)."""
        may = torch.ones(len(before), dtype=torch.bool, device=before.device)
        for later in reversed(range(field, len(self.allowed))):
            may = (before[:, later] < self.highest[later]) | (self.allowed[later][before[:, later]] & may)
        return may
