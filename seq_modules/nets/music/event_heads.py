"""The next event's distribution, field by field, from a net's output and from the events before.

F fields, V_f vocabulary of field f, D width, M events retrieved.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.music.event_context import LAGS, PROFILE, REPEATS, EventFeatures
from seq_modules.nets.music.event_embedding import EventEmbedding
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.retrieval import CopyHead, Retrieved
from seqlight.core.hyperparameters import check_choice, check_range

Heads = Literal["chained", "independent"]


@dataclass(frozen=True)
class NoteConfig:
    """What a net reads and predicts of a note.

    Attributes:
        heads: "chained" predicts each field given those before it (shift, pitch, duration, velocity); "independent"
            predicts all fields as if unrelated.
        relative: Also read the intervals from the last pitches, give the heads the scale and the metre of the piece so
            far, and predict a pitch by its distance to the last one too. What is learned in one key then holds in all;
            the net learns so much faster that it needs more dropout.
        retrieved: Number of earlier matching contexts retrieved for the copy head; 0 disables it.

    Raises:
        UserError: A value is out of its range.
    """

    heads: Heads = "chained"
    relative: bool = False
    retrieved: int = 0

    def __post_init__(self) -> None:
        check_choice("notes.heads", self.heads, Heads)
        check_range("notes.retrieved", self.retrieved, least=0)


class EventHead(nn.Module):
    """The next event, field by field, from a net's output.

    "independent": each field has a linear layer of its own (Foster, "Generative Deep Learning", 2023, chapter 11).
    "chained": field f also sees the fields before it of the same event, so that the product of the distributions is
    that of whole events: x + gelu(A_f·[x; e]) replaces the net's output x, where e is the embedding of those fields.

    With ``relative``, the profile of scale and metre is added to x first, and a pitch's logit has a second term: a
    weight for the pitch's distance to the last one, the same wherever on the keyboard. With ``retrieved``, a copy head
    makes the ids of the retrieved events likelier.

    Args:
        vocab_sizes: V_f of each field.
        width: Width of the net's output, D.
        config: What is read and predicted of a note.
        pitch_ids: Smallest and greatest id of the field pitch that is one; by default all are.
        pitch: Number of the field pitch. Default: the last but one.
    """

    def __init__(
        self,
        vocab_sizes: Sequence[int],
        width: int,
        config: NoteConfig = NoteConfig(),
        pitch_ids: Sequence[int] | None = None,
        pitch: int | None = None,
    ) -> None:
        super().__init__()
        self.vocab_sizes, self.pitch = list(vocab_sizes), len(vocab_sizes) - 2 if pitch is None else pitch
        self.field_heads = nn.ModuleList(nn.Linear(width, size) for size in vocab_sizes)
        self.chained = config.heads == "chained" and len(vocab_sizes) > 1
        self.previous_fields_embedding = EventEmbedding(vocab_sizes[:-1], width) if self.chained else None
        self.condition_layers = (
            nn.ModuleList(nn.Linear(2 * width, width) for _ in vocab_sizes[1:]) if self.chained else None
        )
        self.distances = nn.Linear(width, 2 * vocab_sizes[self.pitch]) if config.relative else None
        self.profile_projection = nn.Linear(PROFILE, width, bias=False) if config.relative else None
        self.pitch_ids = None if pitch_ids is None else (pitch_ids[0], pitch_ids[1])
        self.copy_heads: nn.ModuleList | None = None
        if config.retrieved:  # a class more of a later field: whether the fields before it agree with those chosen
            self.copy_heads = nn.ModuleList(
                CopyHead(width, [LAGS, REPEATS, *([2] if self.chained and field else [])])
                for field in range(len(vocab_sizes))
            )

    def forward(self, x: Tensor, features: EventFeatures, events: Tensor | None = None) -> list[Tensor]:
        """Logits of every field, (..., V_f) each, at least float32.

        Args:
            x: The net's output, (..., D).
            features: What the context gives, (...).
            events: The events that are predicted, (..., F), whose earlier fields chained heads see. Without them each
                field sees the likeliest ids of the fields before it.
        """
        logits: list[Tensor] = []
        chosen: list[Tensor] = []
        for field in range(len(self.vocab_sizes)):
            logits.append(self.field(x, features, chosen))
            chosen.append(logits[-1].argmax(-1) if events is None else events[..., field])
        return logits

    def field(self, x: Tensor, features: EventFeatures, chosen: list[Tensor]) -> Tensor:
        """Logits (..., V_f) of field f, at least float32.

        Args:
            x: The net's output, (..., D).
            features: What the context gives, (...).
            chosen: The event's f fields before this one, (...) each; independent heads ignore them.
        """
        field = len(chosen)
        if self.profile_projection is not None and features.profile is not None:
            x = x + self.profile_projection(features.profile.to(x.dtype))
        if chosen and self.previous_fields_embedding is not None and self.condition_layers is not None:
            before = self.previous_fields_embedding.of(torch.stack(chosen, dim=-1)).to(x.dtype)
            x = x + F.gelu(self.condition_layers[field - 1](torch.cat([x, before], dim=-1)))  # (..., 2·D) -> (..., D)
        z = self.field_heads[field](x)
        if self.distances is not None and features.anchor is not None and field == self.pitch:
            z = z + self.by_distance(self.distances(x), features.anchor)
        if self.copy_heads is not None and features.retrieved is not None:
            z = self._with_copies(z, x, features.retrieved, chosen)
        return at_least_float32(z)

    def by_distance(self, weights: Tensor, anchor: Tensor) -> Tensor:
        """Logits (..., V) of pitches, from weights (..., 2·V) of their distances to a pitch (...), or to none: 0.

        They are 0 for ids that are no pitches, which are at no distance.
        """
        size = weights.shape[-1] // 2
        ids = torch.arange(size, device=weights.device)
        found = weights.gather(-1, (ids - anchor[..., None] + size).clamp(0, 2 * size - 1))
        first, last = self.pitch_ids or (0, size - 1)
        return found * ((anchor >= 0)[..., None] & (ids >= first) & (ids <= last))

    def _with_copies(self, logits: Tensor, x: Tensor, retrieved: Retrieved, chosen: list[Tensor]) -> Tensor:
        """Logits (..., V_f) of field f with what its copy head adds."""
        assert self.copy_heads is not None
        field, events = len(chosen), retrieved.elements
        categories = [retrieved.lag_buckets, retrieved.repeat_buckets]
        if self.chained and field:
            before = torch.stack(chosen, dim=-1)[..., None, :]  # (..., 1, f)
            categories.append((events[..., :field] == before).all(-1).long())
        return self.copy_heads[field](logits, x, events[..., field], retrieved.match_lengths, categories)
