"""Going on from prompts of events, each of several fields: as decode.py, with a choice for every field of an event.

B batch, F fields, V_f vocabulary of field f, D width.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from seq_modules.generation.decode import BLOCK, Net, Steps, cached_steps, device_of, evaluating, naive_steps
from seq_modules.generation.sampling import Decoding, choose, uniforms, wide
from seqlight.core.errors import UserError

Event = tuple[int, ...]


class Heads(Protocol):
    """What :func:`generate_events` asks of the heads."""

    vocab_sizes: list[int]

    def field(self, x: Tensor, chosen: list[Tensor]) -> Tensor:
        """Logits (B, V_f) of field f from the net's output (B, D) and the f fields already chosen, (B,) each."""

    def pack(self, events: Tensor) -> Tensor:
        """Events (..., F) as the ids (...) that the net reads."""


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


def generate_events(
    net: nn.Module,
    heads: nn.Module,
    prompts: Sequence[Sequence[Event]],
    decoding: Decoding,
    rules: Rules,
    rows: Sequence[int] | None = None,
    cached: bool = True,
    stop: Callable[[int, list[Event]], bool] | None = None,
) -> list[list[Event]]:
    """Continuations of prompts, in evaluation mode and without gradients.

    What is drawn for a row depends on ``decoding.seed`` and the row's number alone, not on its batch. Each field is
    chosen as ``decoding`` says among the ids that the rules allow, the repetition penalty being each field's own.

    Args:
        net: A net as :class:`seq_modules.generation.decode.Net`, of packed events, giving (B, T, D) for logits.
        heads: From its output to each field's logits.
        prompts: Events to go on from, of any number, none of them without any.
        decoding: How to choose, and how many events.
        rules: What may be chosen.
        rows: Number of each prompt for the drawing; by default 0, 1, 2 ...
        cached: Carry the net's state from event to event; False reads the whole window again for each, which gives the
            same events and is slow.
        stop: Is told a prompt's place and its new events after each of them, and says whether it is over.

    Returns:
        The new events of each prompt, with END where it was chosen.

    Raises:
        ValueError: A prompt is empty, ``rows`` has another length, or the logits are not numbers.
    """
    for place, prompt in enumerate(prompts):
        if not len(prompt):
            raise UserError(f"prompts: number {place} is empty; give it at least one event to go on from")
    if rows is not None and len(rows) != len(prompts):
        raise UserError(f"rows must number every prompt: {len(rows)} numbers for {len(prompts)} prompts")
    if not prompts:
        return []
    rows = range(len(prompts)) if rows is None else rows
    head, device = cast(Heads, heads), device_of(net)
    packed = [head.pack(torch.tensor([tuple(event) for event in prompt])).tolist() for prompt in prompts]
    with evaluating(nn.ModuleList([net, heads])), torch.no_grad():
        steps = (cached_steps if cached else naive_steps)(cast(Net, net), packed, device)
        drawn = draws(decoding.seed, rows, len(head.vocab_sizes), device) if decoding.temperature else None
        return _grow(steps, head, prompts, decoding, rules.to(device), drawn, stop)


def _grow(
    steps: Steps,
    heads: Heads,
    prompts: Sequence[Sequence[Event]],
    decoding: Decoding,
    rules: Rules,
    drawn: Iterator[Tensor] | None,
    stop: Callable[[int, list[Event]], bool] | None,
) -> list[list[Event]]:
    """Chooses an event a row at each step, until all rows are over."""
    new: list[list[Event]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    before: Tensor | None = None
    seen: list[Tensor] | None = None
    rules.begin(prompts)
    for step, (x, feed) in enumerate(steps):
        if before is None:
            before = torch.tensor([tuple(prompt[-1]) for prompt in prompts], device=x.device)
            seen = _seen(prompts, heads.vocab_sizes, x.device) if decoding.repetition_penalty != 1 else None
        uniform = None if drawn is None else next(drawn)
        chosen: list[Tensor] = []
        for field in range(len(heads.vocab_sizes)):
            logits = heads.field(x, chosen)
            if logits.isnan().any():
                raise UserError("net: its logits are not numbers (NaN); its weights are broken, or training diverged")
            logits = logits.masked_fill(~rules.mask(field, chosen, before, step == 0), -torch.inf)
            told = None if uniform is None else uniform[field]
            chosen.append(choose(logits, decoding, told, None if seen is None else seen[field]))
        before = torch.stack(chosen, dim=1)  # F × (B,) -> (B, F)
        rules.follow(before)
        events = before.tolist()
        for place in alive:
            new[place].append(tuple(events[place]))
        alive = [p for p in alive if events[p][0] != rules.end_id and not (stop is not None and stop(p, new[p]))]
        if not alive or step + 1 == decoding.max_new_tokens:
            break
        if seen is not None:
            for field, ids in enumerate(chosen):
                seen[field].scatter_(1, ids[:, None], True)
        feed(heads.pack(before))
    return new


def draws(seed: int, rows: Sequence[int], fields: int, device: torch.device) -> Iterator[Tensor]:
    """Numbers in [0, 1) for every field and row of one event after the other, (F, B) each."""
    streams = [uniforms(seed, row) for row in rows]
    while True:
        block = torch.tensor([list(islice(stream, BLOCK * fields)) for stream in streams], dtype=torch.float64)
        block = block.view(len(rows), BLOCK, fields).permute(1, 2, 0).contiguous()  # (B, ·) -> (BLOCK, F, B)
        yield from block.to(device, wide(torch.empty(0, device=device)))


def _seen(prompts: Sequence[Sequence[Event]], vocab_sizes: Sequence[int], device: torch.device) -> list[Tensor]:
    """Of each field, which ids each prompt has, (B, V_f)."""
    seen = [torch.zeros(len(prompts), size, dtype=torch.bool, device=device) for size in vocab_sizes]
    for place, prompt in enumerate(prompts):
        for field, ids in enumerate(zip(*prompt, strict=True)):
            seen[field][place, torch.tensor(ids, device=device)] = True
    return seen
