"""Which ids the fields of an event may have.

B rows, F fields, V_f vocabulary of field f.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from seqlight.core.errors import UserError

Event = tuple[int, ...]


class Rules:
    """Which ids an event may have, so that whatever is drawn is well formed.

    The first field's START is never chosen, and its END brings nothing (id 0) in all other fields, which nothing else
    does.

    Args:
        vocab_sizes: V_f of each field.
        start_id: START.
        end_id: END.
        allowed: Of each field a boolean for each id: whether it may ever be chosen. By default all.
        may_end: Whether END may be chosen. The first new event never is.
        together: The first field's id that puts an event at the same time as the one before. Events of one time are
            written in the order of their other fields, the second first, and may be equal (two voices in unison); so
            none may come before the one before it. None: there is no such id.

    Raises:
        ValueError: A field is left without an id.
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
        """Itself, with its tensors on a device."""
        self.allowed = [ids.to(device) for ids in self.allowed]
        return self

    def begin(self, prompts: Sequence[Sequence[Event]]) -> None:
        """Is told the prompts once, before the first choice. What may follow here depends on the last event alone."""

    def follow(self, events: Tensor) -> None:
        """Is told the events that were chosen, (B, F), after each step."""

    def mask(self, field: int, chosen: list[Tensor], before: Tensor, first: bool) -> Tensor:
        """Whether each id of a field may be chosen now, (B, V_f); in every row one may.

        Args:
            field: Which field.
            chosen: The event's fields before it, (B,) each.
            before: The event before, (B, F).
            first: Whether it is the first new event.
        """
        may = self.allowed[field].repeat(len(before), 1)
        if field == 0:
            may[:, self.end_id] = self.may_end and not first
            if self.together is not None:
                may[:, self.together] &= self._may_follow(before, 1)
                may[:, self.end_id] |= ~may.any(1)
            return may
        if self.together is not None:
            tied = chosen[0] == self.together  # and as the event before in all fields in between
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
        """Whether allowed ids of the fields from ``field`` on can be no less than the event before's, (B,)."""
        may = torch.ones(len(before), dtype=torch.bool, device=before.device)
        for at in reversed(range(field, len(self.allowed))):
            may = (before[:, at] < self.highest[at]) | (self.allowed[at][before[:, at]] & may)
        return may
