"""Generation of music: settings of a prediction, which ids may be chosen, and the loop in the tokenizer's terms.

N events, F fields.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.fields import generate_events
from seq_modules.generation.grammar import TokenRules
from seq_modules.generation.rules import Event, Rules
from seq_modules.nets.music.event_net import EventNet, EventSteps
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import check_range
from seqlight.music.bars import elapsed_ticks, end_of_bars
from seqlight.music.notes import Piece

FIELDS = (  # of an event
    ("token",),
    ("pitch", "duration"),
    ("shift", "pitch", "duration"),
    ("pitch", "duration", "velocity"),
    ("shift", "pitch", "duration", "velocity"),
)


def fields_of(vocab_sizes: Sequence[int], fields: Sequence[str] | None) -> tuple[str, ...]:
    """The names of an event's fields.

    Args:
        vocab_sizes: Ids of each field.
        fields: The names. Default: those without velocity that are as many.

    Raises:
        UserError: There are no such fields, or not as many as ``vocab_sizes``.
    """
    by_count: dict[int, tuple[str, ...]] = {len(names): names for names in FIELDS[:3]}
    found = by_count.get(len(vocab_sizes), ()) if fields is None else tuple(fields)
    if found not in FIELDS or len(found) != len(vocab_sizes):
        known = "; ".join(", ".join(names) for names in FIELDS)
        raise UserError(f"vocab_sizes {list(vocab_sizes)} must be one number for each field of an event: {known}")
    return found


@dataclass(frozen=True)
class MusicGeneration:
    """Limits of a prediction. They are not saved in the checkpoint.

    Attributes:
        max_bars: End a prediction after so many bars, at least 1; by default --decoding.max_new_tokens, which counts
            notes, ends it, and it does so in any case.
        lowest_pitch: Lowest MIDI pitch of a prediction, such as 36, the cello's C; by default any.
        highest_pitch: Highest MIDI pitch of a prediction.
        stop_at_end: Whether a prediction is over where the model ends the piece.

    Raises:
        UserError: A value is out of its range.
    """

    max_bars: int | None = None
    lowest_pitch: int | None = None
    highest_pitch: int | None = None
    stop_at_end: bool = True

    def __post_init__(self) -> None:
        check_range("generation.max_bars", self.max_bars, least=1)
        check_range("generation.lowest_pitch", self.lowest_pitch, least=0, most=127)
        check_range("generation.highest_pitch", self.highest_pitch, least=0, most=127)


def generate_music(
    net: EventNet,
    tokenizer: Any,
    prompts: Sequence[Piece],
    ids: Sequence[np.ndarray],
    sample_ids: list[int],
    decoding: Decoding,
    limits: MusicGeneration = MusicGeneration(),
    cached: bool = True,
) -> list[np.ndarray]:
    """New events (N, F) of each prompt, without START and END.

    Args:
        net: The net.
        tokenizer: The music's, as in datamodules/tokenizers.
        prompts: What the model continues, as pieces that the tokenizer decodes.
        ids: The same as events, (N, F) each.
        sample_ids: Number of each prompt, which with the seed selects its random numbers.
        decoding: How events are chosen, and how many.
        limits: Further limits.
        cached: False computes every event anew from all before it, which gives the same and is slow.

    Raises:
        UserError: ``lowest_pitch`` and ``highest_pitch`` leave no pitch of the tokenizer's.
    """
    fields, bars = len(net.vocab_sizes), limits.max_bars
    ends = [math.inf if bars is None else end_of_bars(prompt, bars) for prompt in prompts]
    clocks = [tokenizer.origin + elapsed_ticks(events, tokenizer) for events in ids]

    def is_over(prompt_index: int, new: list[Event]) -> bool:
        clocks[prompt_index] += elapsed_ticks(np.array(new[-1:]), tokenizer)
        return clocks[prompt_index] >= ends[prompt_index]

    start = (tokenizer.start_id, *[0] * (fields - 1))
    prefixes = [list(map(tuple, tokenizer.signature_events(prompt).tolist())) for prompt in prompts]
    net.set_prefix_len(len(prefixes[0]) if prefixes else 0)
    texts = [[*prefix, start, *map(tuple, events.tolist())] for prefix, events in zip(prefixes, ids, strict=True)]
    rules = event_rules(tokenizer, net.vocab_sizes, limits)
    new = generate_events(EventSteps(net), net, texts, decoding, rules, sample_ids, cached, is_over)
    ended = [events[-1][0] == tokenizer.end_id for events in new]
    full = [clock >= end for clock, end in zip(clocks, ends, strict=True)]
    if bars is not None and not all(end or filled for end, filled in zip(ended, full, strict=True)):
        unit = "tokens" if fields == 1 else "notes"
        rank_zero_warn(
            f"max_bars {bars} are not reached in {decoding.max_new_tokens} {unit}; "
            "--decoding.max_new_tokens allows for more"
        )
    late = tokenizer.fields[0] != "pitch"  # with shifts or bars, the event that fills the bars is behind them
    lengths = [len(e) - (end or (filled and late)) for e, end, filled in zip(new, ended, full, strict=True)]
    return [
        np.array(events[:length], dtype=np.int64).reshape(-1, fields)
        for events, length in zip(new, lengths, strict=True)
    ]


def event_rules(tokenizer: Any, vocab_sizes: Sequence[int], limits: MusicGeneration) -> Rules:
    """Which ids may be chosen: no START, no signature, no pitch out of range; a chord's notes in order.

    Raises:
        UserError: No pitch is left.
    """
    low = 0 if limits.lowest_pitch is None else limits.lowest_pitch
    high = 127 if limits.highest_pitch is None else limits.highest_pitch
    in_range = [pitch is None or low <= pitch <= high for pitch in tokenizer.pitches]
    sounding = [pitch for pitch in tokenizer.pitches if pitch is not None]
    if not any(low <= pitch <= high for pitch in sounding):
        name = "lowest_pitch" if limits.lowest_pitch is not None else "highest_pitch"
        raise UserError(
            f"generation.{name}: none of the model's pitches, {min(sounding)} to {max(sounding)}, is from {low} to "
            f"{high}"
        )
    allowed = []
    for name, size, of_notes in zip(tokenizer.fields, vocab_sizes, tokenizer.note_sizes, strict=True):
        ids = in_range if name == "pitch" else [True] * size
        allowed.append([may and i < of_notes for i, may in enumerate(ids)])
    if len(vocab_sizes) == 1:
        grammar = tokenizer.kinds, tokenizer.values, tokenizer.end_id, in_range
        return TokenRules(*grammar, limits.stop_at_end, -tokenizer.origin if tokenizer.one_voice else None)
    special = (tokenizer.start_id, tokenizer.end_id)
    chord = [i for i, shift in enumerate(tokenizer.shifts) if shift == 0 and i not in special and allowed[0][i]]
    return Rules(vocab_sizes, *special, allowed, limits.stop_at_end, chord[0] if chord else None)
