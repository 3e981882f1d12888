"""Several nets of one kind as one: their probabilities averaged.

B batch, T time, V vocabulary or classes, L layers, H heads, K members.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.precision import at_least_float32
from seqlight.core.errors import UserError


class Ensemble(nn.Module):
    """K nets that differ in their first weights and in the batches they are trained on (Hansen & Salamon 1990).

    In training mode ``forward`` goes through one member alone, so that a step costs no more than with one net; the
    callback ActiveMember chooses the member of each step. In evaluation mode all members run, and the mean of their
    probabilities has a lower loss than they have (Lakshminarayanan et al. 2017).

    Args:
        members: K nets. Each gives logits (..., V), or a list or tuple of logits, such as one tensor a field. An entry
            that is None in the first member's output stays None.

    Attributes:
        members: The nets.
        active: Number of the member that training goes through.

    Raises:
        UserError: There are no members.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise UserError("members must be at least one net")
        self.members = nn.ModuleList(members)
        self.active = 0

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The active member's output in training mode, else the members' :func:`combined` outputs."""
        if self.training:
            return self.members[self.active](*inputs, **named)
        return combined([net(*inputs, **named) for net in self.members])

    def prefill(self, *inputs: Any) -> tuple[Any, list[Any]]:
        """Prompts through all members, as generation/decode.py describes: combined logits, and the members' states."""
        logits, states = zip(*(net.prefill(*inputs) for net in self._nets), strict=True)
        return combined(logits), list(states)

    def decode_step(self, ids: Tensor, state: list[Any]) -> tuple[Any, list[Any]]:
        """One more token through all members: combined logits, and the members' states."""
        logits, states = zip(
            *(net.decode_step(ids, own) for net, own in zip(self._nets, state, strict=True)), strict=True
        )
        return combined(logits), list(states)

    def extend(self, ids: Tensor, counts: Sequence[int], state: list[Any]) -> tuple[Any, list[Any]]:
        """Several more tokens (B, T) through all members: combined logits (B, T, V), and the members' states."""
        pairs = zip(self._nets, state, strict=True)
        logits, states = zip(*(net.extend(ids, counts, own) for net, own in pairs), strict=True)
        return combined(logits), list(states)

    def free_slots(self, state: list[Any]) -> list[int]:
        """How many tokens each row can read at once."""
        return self._nets[0].free_slots(state[0])

    def crop(self, counts: Sequence[int], state: list[Any]) -> list[Any]:
        """The members' states without the last tokens of each row that the last :meth:`extend` read."""
        return [net.crop(counts, own) for net, own in zip(self._nets, state, strict=True)]

    def reorder(self, state: list[Any], rows: Tensor) -> list[Any]:
        """The members' states in which row i is what row ``rows[i]`` was, (B',); a row may be taken several times."""
        return [net.reorder(own, rows) for net, own in zip(self._nets, state, strict=True)]

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that the members read."""
        return self._nets[0].window(ids)

    def attention_maps(self, *inputs: Any) -> Tensor | None:
        """The first member's attention weights, as an example; None where it has no attention."""
        first = self._nets[0]
        return first.attention_maps(*inputs) if hasattr(first, "attention_maps") else None

    def cross_attention(self, *inputs: Any) -> Tensor | None:
        """The first member's attention weights from target to source, as an example; None where it has none."""
        return self._nets[0].cross_attention(*inputs)

    @property
    def position_table(self) -> Tensor | None:
        """The first member's vectors of positions; None where it has none."""
        return getattr(self.members[0], "position_table", None)

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The Transformer blocks of all members, for Muon and for compilation; None where there are none."""
        blocks = [block for net in self._nets for block in getattr(net, "blocks", None) or []]
        return nn.ModuleList(blocks) if blocks else None

    @property
    def max_seq_len(self) -> int | None:
        """Longest context; None for any."""
        return getattr(self.members[0], "max_seq_len", None)

    @property
    def _nets(self) -> list[Any]:
        return list(self.members)


def combined(outputs: Sequence[Any]) -> Any:
    """One output of K members' outputs: logits are :func:`averaged`, in lists and tuples entry by entry."""
    first = outputs[0]
    if isinstance(first, Tensor):
        return averaged(outputs)
    if first is None:
        return None
    return [combined(entries) for entries in zip(*outputs, strict=True)]


def averaged(logits: Sequence[Tensor]) -> Tensor:
    """Logits (..., V) whose probabilities are the mean of K members', at least float32.

    Members that agree keep their own logits: a repetition penalty depends on the logits' signs, so these are not
    simply logarithms of probabilities.
    """
    logits = [at_least_float32(z) for z in logits]
    scale = logits[0].logsumexp(-1, keepdim=True)
    total = logits[0] - scale
    for other in logits[1:]:
        own = other.logsumexp(-1, keepdim=True)
        total, scale = torch.logaddexp(total, other - own), scale + own
    return total - math.log(len(logits)) + scale / len(logits)
