"""Continues prompts of events, each of several fields: one choice for every field of an event.

B rows, F fields, V_f vocabulary of field f, D width.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from seq_modules.generation.decode import evaluating, resolve_sample_ids
from seq_modules.generation.decoding_config import NO_BEAMS, NO_DRAFTS, Decoding
from seq_modules.generation.loop import SamplerOutput, decode
from seq_modules.generation.rules import Event, Rules
from seq_modules.generation.sampling import check_not_nan, sample, seen_ids, uniform_blocks
from seq_modules.generation.state import device_of, new_state


class Heads(Protocol):
    """What makes logits of a net's output."""

    vocab_sizes: list[int]

    def field(self, x: Any, chosen: list[Tensor]) -> Tensor:
        """Logits (B, V_f) of field f from the net's output (B, D) and the f fields already chosen, (B,) each."""
        ...

    def pack(self, events: Tensor) -> Tensor:
        """Events (..., F) as the ids (...) that the net reads."""
        ...


def generate_events(
    net: nn.Module,
    heads: nn.Module,
    prompts: Sequence[Sequence[Event]],
    decoding: Decoding,
    rules: Rules,
    sample_ids: Sequence[int] | None = None,
    cached: bool = True,
    stop: Callable[[int, list[Event]], bool] | None = None,
) -> list[list[Event]]:
    """Continuations of prompts, in evaluation mode and without gradients.

    What is drawn for a row depends on ``decoding.seed`` and the row's number alone, not on its batch. Each field is
    chosen as ``decoding`` says among the ids that the rules allow, with a repetition penalty of its own.

    Args:
        net: A :class:`seq_modules.generation.state.Net` of packed events, with outputs (B, T, D) for logits.
        heads: :class:`Heads`, from the net's output to each field's logits.
        prompts: Events to continue, of any lengths, none of them empty.
        decoding: How ids are chosen, and how many events.
        rules: Which ids may be chosen; a prompt ends with an event whose first field is ``rules.end_id``.
        sample_ids: Number of each prompt, which with the seed selects its random numbers; by default 0, 1, 2 ...
        cached: Carry the net's state from event to event. False reads the whole window again for each event, which
            gives the same events and is slow.
        stop: Called with a prompt's index and its new events after each of them, but for END. The prompt ends where it
            returns true.

    Returns:
        The new events of each prompt, with the one at which it ended.

    Raises:
        UserError: A prompt is empty, ``sample_ids`` has another length, or the logits are not numbers.
    """
    sample_ids = resolve_sample_ids(prompts, sample_ids, "event")
    decoding.check_unused((*NO_BEAMS, *NO_DRAFTS), "music")
    if not prompts:
        return []
    head, device = cast(Heads, heads), device_of(net)
    packed = [head.pack(torch.tensor([tuple(event) for event in prompt])).tolist() for prompt in prompts]
    with evaluating(nn.ModuleList([net, heads])), torch.no_grad():
        sampler = EventSampler(head, prompts, decoding, rules, sample_ids, device)
        state = new_state(net, packed, cached)
        return decode(state, sampler, len(prompts), decoding.max_new_tokens, stop)


class EventSampler:
    """Chooses an event of each row's output, field by field.

    Args:
        heads: From the output to logits.
        prompts: Events of each row.
        decoding: How ids are chosen.
        rules: Which ids may be chosen. They are moved to the device, and follow the rows from here on.
        sample_ids: Number of each row, which with the seed selects its random numbers.
        device: Where the output is.
    """

    def __init__(
        self,
        heads: Heads,
        prompts: Sequence[Sequence[Event]],
        decoding: Decoding,
        rules: Rules,
        sample_ids: Sequence[int],
        device: torch.device,
    ) -> None:
        self.heads, self.decoding, self.rules = heads, decoding, rules.to(device)
        self.rules.begin(prompts)
        self.uniforms = uniform_blocks(decoding, sample_ids, len(heads.vocab_sizes), device)
        self.before = torch.tensor([tuple(prompt[-1]) for prompt in prompts], device=device)  # (B, F)
        self.first = True
        self.seen: list[Tensor] | None = None  # F × (B, V_f)
        if decoding.repetition_penalty != 1:
            self.seen = [
                seen_ids([[event[field] for event in prompt] for prompt in prompts], size, device)
                for field, size in enumerate(heads.vocab_sizes)
            ]

    def __call__(self, output: Any) -> SamplerOutput[Event]:
        """The next event of each row, of the net's output (B, D)."""
        uniforms = None if self.decoding.greedy else next(self.uniforms)  # (F, B)
        chosen: list[Tensor] = []
        for field in range(len(self.heads.vocab_sizes)):
            logits = self.heads.field(output, chosen)
            check_not_nan(logits)
            allowed = self.rules.mask(field, chosen, self.before, self.first)
            logits = logits.masked_fill(~allowed, -torch.inf)
            seen = None if self.seen is None else self.seen[field]
            ids = sample(logits, self.decoding, None if uniforms is None else uniforms[field], seen)
            if seen is not None:
                seen.scatter_(1, ids[:, None], True)
            chosen.append(ids)
        self.before, self.first = torch.stack(chosen, dim=1), False  # F × (B,) -> (B, F)
        self.rules.follow(self.before)
        events = [tuple(event) for event in self.before.tolist()]
        return SamplerOutput(self.heads.pack(self.before), events, [event[0] == self.rules.end_id for event in events])
