"""Nets over events: backbones that read packed events, with heads that also see what the context gives.

B batch, T time, F fields, D width, K members of an ensemble.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seq_modules.nets.ensemble import Ensemble, averaged
from seq_modules.nets.music.event_context import INTERVALS, NO_INTERVAL, EventContext, EventFeatures
from seq_modules.nets.music.event_embedding import EventEmbedding, pack, unpack
from seq_modules.nets.music.event_heads import EventHead, NoteConfig
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range


@dataclass(frozen=True)
class EventStates:
    """The backbones' outputs before the next event and the features beside them; an index picks rows and steps of all.

    Attributes:
        outputs: Of each member, (..., D).
        features: What the context gives, (...).
    """

    outputs: tuple[Tensor, ...]
    features: EventFeatures

    def __getitem__(self, key: Any) -> "EventStates":
        return EventStates(tuple(x[key] for x in self.outputs), self.features.select(key))

    @property
    def device(self) -> torch.device:
        """The outputs' device."""
        return self.outputs[0].device


@dataclass
class EventCache:
    """What generation carries from event to event.

    Attributes:
        states: State of each member's backbone.
        context: The events so far; None where no feature needs them.
        lengths: Lengths of the last event's matches, (B, K, 2); None without retrieval.
    """

    states: list[Any]
    context: EventContext | None
    lengths: Tensor | None


class EventMember(nn.Module):
    """A backbone with its head.

    Args:
        backbone: A GPT or RNNNet with an EventEmbedding and no head.
        head: From the backbone's output to each field's logits.
    """

    def __init__(self, backbone: nn.Module, head: EventHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, input_ids: Tensor, features: EventFeatures, events: Tensor | None = None) -> list[Tensor]:
        """Logits of each field, (B, T, V_f), of packed events (B, T) that the backbone reads."""
        return self.head(self.outputs(input_ids), features, events)

    def outputs(self, input_ids: Tensor) -> Tensor:
        """The backbone's outputs (B, T, D) of ids (B, T), each from the window that generation would give it."""
        net: Any = self.backbone
        longest, steps = self.max_seq_len, input_ids.shape[1]
        if longest is None or steps <= longest:
            return net(input_ids)
        outputs, done = [], 0
        while done < steps:
            begin = done + 1 - len(net.window([0] * (done + 1)))  # so many ids are left out
            end = min(begin + longest, steps)
            seen = torch.cat((input_ids[:, : net.prefix_len], input_ids[:, net.prefix_len + begin : end]), dim=1)
            outputs.append(net(seen)[:, done - begin :])
            done = end
        return torch.cat(outputs, dim=1)

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The backbone's Transformer blocks; None where there are none."""
        return getattr(self.backbone, "blocks", None)

    @property
    def max_seq_len(self) -> int | None:
        """Longest context; None for any."""
        return getattr(self.backbone, "max_seq_len", None)


class EventNet(nn.Module):
    """A net over events, or an ensemble of them, with the features that its context gives.

    The backbones are built before the heads, so that each draws the same first weights whatever stands beside it.

    Args:
        backbone: Makes a backbone of the embedding of the events it reads; called ``ensemble_size`` times.
        vocab_sizes: Ids of each field of an event.
        d_model: Width of the embedding.
        width: Width of the backbones' outputs, D.
        config: What is read and predicted of a note.
        ensemble_size: Number of members, K.
        pitch_ids: Smallest and greatest id of the field pitch that is one. Needed with ``relative`` or ``retrieved``.
        ticks: How far each id of the field that moves the clock moves it; see :class:`EventContext`. Needed with
            ``relative``.
        pitch: Number of the field pitch, 1 after a shift or 0. Default: the last field but one.

    Raises:
        UserError: A value is out of its range, missing, or does not go with events of one field.
    """

    ticks: Tensor | None

    def __init__(
        self,
        backbone: Callable[[EventEmbedding], nn.Module],
        vocab_sizes: Sequence[int],
        d_model: int,
        width: int,
        config: NoteConfig = NoteConfig(),
        ensemble_size: int = 1,
        pitch_ids: Sequence[int] | None = None,
        ticks: Sequence[int] | None = None,
        pitch: int | None = None,
    ) -> None:
        super().__init__()
        self.pitch = len(vocab_sizes) - 2 if pitch is None else pitch
        check_range("ensemble_size", ensemble_size, least=1)
        if (config.relative or config.retrieved) and len(vocab_sizes) < 2:
            name = "relative" if config.relative else "retrieved"
            raise UserError(
                f"notes.{name} is for notes, not for tokens; give --model.notes.relative false "
                "--model.notes.retrieved 0"
            )
        if (config.relative or config.retrieved) and (pitch_ids is None or len(pitch_ids) != 2):
            raise UserError(f"pitch_ids must be the smallest and the greatest id of a pitch, not {pitch_ids}")
        timed = vocab_sizes[1 if self.pitch == 0 else 0]
        if config.relative and (ticks is None or len(ticks) != timed):
            raise UserError(f"ticks must be {timed} numbers, one for each id that moves the clock on, not {ticks}")
        self.register_buffer(
            "ticks", torch.tensor(list(ticks)) if config.relative and ticks is not None else None, persistent=False
        )
        self.vocab_sizes, self.pitch_ids = list(vocab_sizes), None if pitch_ids is None else list(pitch_ids)
        self.relative, self.retrieved = config.relative, config.retrieved
        self.sizes = input_sizes(vocab_sizes, config.relative, self.pitch)
        backbones = [backbone(EventEmbedding(self.sizes, d_model)) for _ in range(ensemble_size)]
        heads = [EventHead(vocab_sizes, width, config, pitch_ids, self.pitch) for _ in range(ensemble_size)]
        members = [EventMember(net, head) for net, head in zip(backbones, heads, strict=True)]
        self.members: Any = members[0] if ensemble_size == 1 else Ensemble(members)

    @property
    def each(self) -> list[Any]:
        """The members, or the one there is."""
        return list(self.members.members) if isinstance(self.members, Ensemble) else [self.members]

    @property
    def blocks(self) -> nn.ModuleList | None:
        """The Transformer blocks of all members, for Muon and to compile; None where there are none."""
        return self.members.blocks

    @property
    def max_seq_len(self) -> int | None:
        """Longest sequence to train on; None for any."""
        return self.members.max_seq_len

    def set_prefix_len(self, count: int) -> None:
        """Backbones with a limited context keep the first ids of a sequence, a signature, in every window."""
        for member in self.each:
            if member.max_seq_len is not None:
                member.backbone.prefix_len = count

    def pack(self, events: Tensor) -> Tensor:
        """Events (..., F) as one whole number each, (...)."""
        return pack(events, self.vocab_sizes)

    def forward(self, input_ids: Tensor, events: Tensor | None = None) -> list[Tensor]:
        """Logits of each field of the next event at every step, (B, T, V_f) each.

        A net with a limited context reads longer sequences in the windows that generation would give it.

        Args:
            input_ids: Packed events, (B, T), T of any length.
            events: The next events, (B, T, F), whose earlier fields chained heads see.
        """
        context = self._context(input_ids)
        return self.members(self._read(input_ids, context), self._features(context, input_ids.shape[1]), events)

    def states(self, input_ids: Tensor) -> EventStates:
        """All members' outputs and the features at every step, (B, T, ...), of packed events (B, T)."""
        context = self._context(input_ids)
        read = self._read(input_ids, context)
        outputs = tuple(member.outputs(read) for member in self.each)
        return EventStates(outputs, self._features(context, input_ids.shape[1]))

    def field(self, states: EventStates, chosen: list[Tensor]) -> Tensor:
        """Logits (..., V_f) of field f from the states and the f fields before it, (...) each; members are averaged."""
        pairs = zip(self.each, states.outputs, strict=True)
        logits = [member.head.field(x, states.features, chosen) for member, x in pairs]
        return logits[0] if len(logits) == 1 else averaged(logits)

    def window(self, ids: list[int]) -> list[int]:
        """The part of a row's ids that is read: all of it where features depend on all events."""
        return ids if self.relative or self.retrieved else self.each[0].backbone.window(ids)

    def prefill(self, input_ids: Tensor, lengths: Tensor) -> tuple[EventStates, EventCache]:
        """Reads prompts (B, T), padded on the right, of true lengths (B,).

        Returns:
            The states after each, (B, ...), and the cache for :meth:`decode_step`.
        """
        read = self._read(input_ids, self._context(input_ids))
        outputs, states = zip(*(member.backbone.prefill(read, lengths) for member in self.each), strict=True)
        steps = torch.arange(input_ids.shape[1], device=input_ids.device)
        positions = steps - input_ids.shape[1] + lengths[:, None]
        aligned = torch.where(
            positions >= 0, input_ids.gather(1, positions.clamp(min=0)), 0
        )  # padded on the left: the ends meet
        context = self._context(aligned)
        matches = context.last_lengths() if context is not None and self.retrieved else None
        cache = EventCache(list(states), context, matches)
        return self._last_states(outputs, cache), cache

    def decode_step(self, ids: Tensor, cache: EventCache) -> tuple[EventStates, EventCache]:
        """Reads one more event of each row, (B,). The states after it, and the cache, which is changed in place."""
        if cache.context is not None:
            cache.context.append(unpack(ids, self.vocab_sizes))
            if cache.lengths is not None:
                cache.lengths = cache.context.last_lengths(cache.lengths)
        read = self._read(ids[:, None], cache.context)[:, 0]
        pairs = zip(self.each, cache.states, strict=True)
        outputs, states = zip(*(member.backbone.decode_step(read, own) for member, own in pairs), strict=True)
        cache.states = list(states)
        return self._last_states(outputs, cache), cache

    def _last_states(self, outputs: Sequence[Tensor], cache: EventCache) -> EventStates:
        """The states after the last event, (B, ...)."""
        context, retrieved = cache.context, None
        if context is not None and cache.lengths is not None:
            retrieved = context.retrieve_last(cache.lengths, self.retrieved)
        anchor, profile = self._scale(context, 1)
        anchor, profile = (None if part is None else part[:, 0] for part in (anchor, profile))
        return EventStates(tuple(outputs), EventFeatures(anchor, profile, retrieved))

    def _features(self, context: EventContext | None, last: int) -> EventFeatures:
        """Features after each of the last T events, (B, T, ...)."""
        retrieved = None if context is None or not self.retrieved else context.retrieve(self.retrieved)
        return EventFeatures(*self._scale(context, last), retrieved)

    def _scale(self, context: EventContext | None, last: int) -> tuple[Tensor | None, Tensor | None]:
        """Last pitches (B, T) and profiles (B, T, PROFILE) after the last T events, where they are used."""
        if context is None or not self.relative:
            return None, None
        weights = next(self.members.parameters())
        return context.anchors[:, -last:], context.profiles(last).to(weights.dtype)

    def _context(self, input_ids: Tensor) -> EventContext | None:
        if not self.relative and not self.retrieved:
            return None
        assert self.pitch_ids is not None
        first, last = self.pitch_ids
        return EventContext(unpack(input_ids, self.vocab_sizes), first, last, self.ticks, self.pitch)

    def _read(self, input_ids: Tensor, context: EventContext | None) -> Tensor:
        """The last T ids (B, T) as the backbones read them: with the intervals as further fields, if relative."""
        if not self.relative or context is None:
            return input_ids
        side = self.vocab_sizes[self.pitch]
        intervals = context.intervals()[:, -input_ids.shape[1] :]  # (B, T, INTERVALS)
        fields = unpack(input_ids, self.vocab_sizes)
        shifted = torch.where(intervals == NO_INTERVAL, 2 * side, intervals + side)
        return pack(torch.cat((fields, shifted), dim=-1), self.sizes)


class EventSteps(nn.Module):
    """An EventNet as generation/fields.py reads it: ``forward`` gives the states from which fields are chosen.

    Args:
        net: The net.
    """

    def __init__(self, net: EventNet) -> None:
        super().__init__()
        self.net = net
        self.prefill, self.decode_step, self.window = net.prefill, net.decode_step, net.window

    def forward(self, input_ids: Tensor) -> EventStates:
        """States (B, T, ...) of packed events (B, T)."""
        return self.net.states(input_ids)


def input_sizes(vocab_sizes: Sequence[int], relative: bool, pitch: int) -> list[int]:
    """Ids of each field that a backbone reads: the event's and, if relative, its intervals, between -V and V.

    Args:
        vocab_sizes: Ids of each field of an event.
        relative: Whether intervals are read.
        pitch: Number of the field of pitches, of which there are V.
    """
    return [*vocab_sizes, *[2 * vocab_sizes[pitch] + 1] * INTERVALS] if relative else list(vocab_sizes)
