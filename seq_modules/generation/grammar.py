"""Which token may follow in REMI, music as tokens: :class:`seq_modules.generation.rules.Rules` of one field.

B rows, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq_modules.generation.rules import Event, Rules
from seqlight.core.errors import UserError

KINDS = ("BOS", "EOS", "PAD", "Bar", "Position", "Pitch", "Duration")
FOLLOWS = {
    "BOS": {"Bar"},
    "EOS": {"Bar"},  # a row that has ended still draws a token at each step, which is not returned
    "Bar": {"Bar", "Position"},
    "Position": {"Pitch"},
    "Pitch": {"Duration"},
    "Duration": {"Pitch", "Position", "Bar", "EOS"},
}


class TokenRules(Rules):
    """The grammar of REMI (Huang & Yang 2020), so that all output is well formed and in the tokenizer's order.

    A bar is followed by positions, a position by the pitch and the duration of each note there. Positions rise within a
    bar, pitches within a position, and durations within a pitch. The rules carry from token to token what this needs.

    Args:
        kinds: For each id one of KINDS.
        values: For each id its position, pitch or duration.
        end_id: END.
        allowed: For each id whether it may ever be chosen; meant for a range of pitches.
        may_end: Whether END may be chosen.
        bar: For music of one voice: a bar's length in the unit of positions and durations. A note then begins when the
            one before it has ended, or later, also across bars. None: several voices.

    Raises:
        UserError: No pitch may be chosen.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        values: Sequence[int],
        end_id: int,
        allowed: Sequence[bool],
        may_end: bool = True,
        bar: int | None = None,
    ) -> None:
        self.end_id = end_id
        self.kinds, self.values = torch.tensor([KINDS.index(kind) for kind in kinds]), torch.tensor(list(values))
        follows = [set(FOLLOWS.get(kind, ())) for kind in KINDS]
        if not may_end:
            follows = [after - {"EOS"} for after in follows]
        self.bar = bar
        if bar is not None:
            follows[KINDS.index("Duration")] -= {"Pitch"}
        may = [[KINDS[kind] in after for kind in self.kinds.tolist()] for after in follows]
        self.following = torch.tensor(may) & torch.tensor(list(allowed))  # (kinds, V)
        if not self.following[KINDS.index("Position")].any():
            raise UserError("allowed: no pitch is left to choose")
        self.past = torch.empty(0)

    def to(self, device: torch.device) -> "TokenRules":
        """The rules themselves, with their tensors on a device."""
        self.kinds, self.values = self.kinds.to(device), self.values.to(device)
        self.following = self.following.to(device)
        return self

    def begin(self, prompts: Sequence[Sequence[Event]]) -> None:
        """Reads the prompts, once, before the first choice."""
        pasts = []
        for prompt in prompts:
            self.past = torch.full((1, 4), -1, device=self.kinds.device)
            for event in prompt:
                self.follow(torch.tensor([event], device=self.kinds.device))
            pasts.append(self.past)
        # (B, 4): the last kind, and the least position, pitch and duration that may follow
        self.past = torch.cat(pasts)

    def follow(self, events: Tensor) -> None:
        """Reads the next token of each row, (B, 1)."""
        ids = events[:, 0]
        kind, value = self.kinds[ids], self.values[ids]
        _, position, pitch, duration = self.past.unbind(1)
        bar, onset, key, length = (kind == KINDS.index(name) for name in ("Bar", "Position", "Pitch", "Duration"))
        none = torch.full_like(value, -1)
        duration = torch.where(length, value, torch.where(onset | bar | (key & (value != pitch)), none, duration))
        pitch = torch.where(key, value, torch.where(onset | bar, none, pitch))
        if self.bar is not None:  # where the note ends
            position = torch.where(length, position - 1 + value, torch.where(bar, position - self.bar, position))
        else:
            position = torch.where(bar, none, position)
        position = torch.where(onset, value + 1, position.clamp(min=-1))  # the next position is later
        self.past = torch.stack([kind, position, pitch, duration], dim=1)

    def mask(self, field: int, chosen: list[Tensor], before: Tensor, first: bool) -> Tensor:
        """Whether each id may be chosen now, (B, V). In every row at least one may. See the base class."""
        may = self.following[self.past[:, 0]].clone()
        for column, name in enumerate(("Position", "Pitch", "Duration"), 1):
            of_kind = self.kinds == KINDS.index(name)  # (V,)
            may &= ~of_kind | (self.values >= self.past[:, column, None])
        if first:
            may[:, self.end_id] = False
        return may
