"""Nets over events: bodies that read packed events, with what the past says beside them.

B batch, T time, F fields, D width, K nets of an ensemble.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.music.event_context import INTERVALS, NONE, Known, Past
from seq_modules.nets.music.event_embedding import pack, unpack
from seqlight.core.errors import UserError


@dataclass
class Reading:
    """State of a generation: that of each net, and the past with its runs (B, N - 1, 2)."""

    states: list[Any]
    past: Past | None
    runs: Tensor | None


class EventNet(nn.Module):
    """One net over events, or several that take turns in training and are averaged by the heads afterwards.

    Args:
        nets: Each a GPT or RNNNet with an EventEmbedding of ``reading_sizes`` and no head.
        vocab_sizes: Ids of each field of an event.
        pitch_ids: Smallest and greatest id of the field pitch that is one. Needed with ``relative`` or ``recalled``.
        relative: The nets also read the intervals from the last pitches, and the heads are told the last pitch and
            the piece's scale and metre.
        recalled: How many events that followed upon the like are looked up, M; 0 for none.
        ticks: How far each id of the field that moves the clock moves it; see :class:`Past`. Needed with ``relative``.

    Attributes:
        turn: Number of the net that training goes through; who trains them moves it on.

    Raises:
        ValueError: There is no net, ``recalled`` is below 0, or ``pitch_ids`` or ``ticks`` are missing or none.
    """

    def __init__(
        self,
        nets: Sequence[nn.Module],
        vocab_sizes: Sequence[int],
        relative: bool = False,
        recalled: int = 0,
        pitch_ids: Sequence[int] | None = None,
        ticks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not nets:
            raise UserError("members must be at least one net")
        if recalled < 0:
            raise UserError(f"recalled must be at least 0, not {recalled}")
        if (relative or recalled) and (pitch_ids is None or len(pitch_ids) != 2):
            raise UserError(f"pitch_ids must be the smallest and the greatest id of a pitch, not {pitch_ids}")
        timed = vocab_sizes[-1 if len(vocab_sizes) == 2 else 0]
        if relative and (ticks is None or len(ticks) != timed):
            raise UserError(f"ticks must be {timed} numbers, one for each id that moves the clock on, not {ticks}")
        self.register_buffer(
            "ticks", torch.tensor(list(ticks)) if relative and ticks is not None else None, persistent=False
        )
        self.ticks: Tensor | None
        self.members = nn.ModuleList(nets)
        self.vocab_sizes, self.pitch_ids = list(vocab_sizes), None if pitch_ids is None else list(pitch_ids)
        self.relative, self.recalled, self.turn = relative, recalled, 0
        self.sizes = reading_sizes(vocab_sizes, relative)

    def keep(self, count: int) -> None:
        """Has nets with a limited context keep the first ids of a sequence in view, a signature, wherever they are."""
        for net in self._nets:
            if hasattr(net, "kept"):
                net.kept = count

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The blocks of all Transformers, for Muon and to compile; None where there is no Transformer."""
        blocks = [block for net in self._nets for block in getattr(net, "blocks", [])]
        return nn.ModuleList(blocks) if blocks else None

    @property
    def max_seq_len(self) -> int | None:
        """Longest sequence to train on; None for any."""
        return getattr(self.members[0], "max_seq_len", None)

    @property
    def _turns(self) -> slice:
        return slice(self.turn, self.turn + 1) if self.training else slice(None)

    def forward(self, input_ids: Tensor) -> Known:
        """What is known at every step (B, T) of packed events (B, T), T of any length.

        A net with a limited context reads longer sequences as its ``window`` says, so that each step is known as it
        would be in generation.
        """
        past = self._past(input_ids)
        read = self._reading(input_ids, past)
        outputs = tuple(_windowed(net, read) for net in self._nets[self._turns])
        recalled = None if past is None or not self.recalled else past.recall(self.recalled)
        return Known(outputs, self._turns.start or 0, *self._scale(past, input_ids.shape[1]), recalled)

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that is looked at: where the past is asked for, all of it."""
        return ids if self.relative or self.recalled else self._nets[0].window(ids)

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[Known, Reading]:
        """Reads prompts (B, T), padded on the right, of true lengths (B,).

        Returns:
            What is known after each, (B, ...), and the state to :meth:`advance` from.
        """
        read = self._reading(input_ids, self._past(input_ids))
        outputs, states = zip(*(net.prefill(read, lengths) for net in self._nets), strict=True)
        steps = torch.arange(input_ids.shape[1], device=input_ids.device)
        at = steps - input_ids.shape[1] + lengths[:, None]
        aligned = torch.where(at >= 0, input_ids.gather(1, at.clamp(min=0)), 0)  # padded on the left: the ends meet
        past = self._past(aligned)
        state = Reading(list(states), past, past.ended_runs() if past is not None and self.recalled else None)
        return self._known(outputs, state), state

    def decode_step(self, ids: Tensor, state: Reading) -> tuple[Known, Reading]:
        """Reads one more event of each row, (B,). What is known after it, and the state, which is changed in place."""
        if state.past is not None:
            state.past.hear(unpack(ids, self.vocab_sizes))
            if state.runs is not None:
                state.runs = state.past.last_runs(state.runs)
        read = self._reading(ids[:, None], state.past)[:, 0]
        found = [net.decode_step(read, own) for net, own in zip(self._nets, state.states, strict=True)]
        state.states = [own for _, own in found]
        return self._known([x for x, _ in found], state), state

    def _known(self, outputs: Sequence[Tensor], state: Reading) -> Known:
        past, recalled = state.past, None
        if past is not None and state.runs is not None and self.recalled:
            recalled = past.last_recall(state.runs, self.recalled)
        anchor, profile = self._scale(past, 1)
        anchor, profile = (None if part is None else part[:, 0] for part in (anchor, profile))
        return Known(tuple(outputs), 0, anchor, profile, recalled)

    def _scale(self, past: Past | None, last: int) -> tuple[Tensor | None, Tensor | None]:
        """Last pitches (B, T) and profiles (B, T, PROFILE) after the last T events, where they are asked for."""
        if past is None or not self.relative:
            return None, None
        weights = next(self.members.parameters())
        return past.anchors[:, -last:], past.profiles(last).to(weights.dtype)

    def _past(self, input_ids: Tensor) -> Past | None:
        if not self.relative and not self.recalled:
            return None
        assert self.pitch_ids is not None
        first, last = self.pitch_ids
        return Past(unpack(input_ids, self.vocab_sizes), first, last, self.ticks)

    def _reading(self, input_ids: Tensor, past: Past | None) -> Tensor:
        """The last T ids (B, T) as the nets read them: with the intervals as further fields, if asked for."""
        if not self.relative or past is None:
            return input_ids
        side = self.vocab_sizes[-2]
        intervals = past.intervals()[:, -input_ids.shape[1] :]  # (B, T, INTERVALS)
        fields = unpack(input_ids, self.vocab_sizes)
        told = torch.where(intervals == NONE, 2 * side, intervals + side)
        return pack(torch.cat((fields, told), dim=-1), self.sizes)

    @property
    def _nets(self) -> list[Any]:
        return list(self.members)


def reading_sizes(vocab_sizes: Sequence[int], relative: bool) -> list[int]:
    """Ids of each field that a net reads: those of the event and, if asked for, its intervals, between -V and V."""
    return [*vocab_sizes, *[2 * vocab_sizes[-2] + 1] * INTERVALS] if relative else list(vocab_sizes)


def _windowed(net: Any, input_ids: Tensor) -> Tensor:
    """A net's outputs (B, T, D) of ids (B, T), each from the window that the net would have in generation."""
    longest, steps = getattr(net, "max_seq_len", None), input_ids.shape[1]
    if longest is None or steps <= longest:
        return net(input_ids)
    outputs, done = [], 0
    while done < steps:
        begin = done + 1 - len(net.window([0] * (done + 1)))  # so many ids are left out
        end = min(begin + longest, steps)
        seen = torch.cat((input_ids[:, : net.kept], input_ids[:, net.kept + begin : end]), dim=1)
        outputs.append(net(seen)[:, done - begin :])
        done = end
    return torch.cat(outputs, dim=1)
