"""From what is known to the next event's distribution, field by field.

F fields, V_f vocabulary of field f, D width, M events recalled.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.ensemble import averaged
from seq_modules.nets.music.event_context import LAGS, LONGEST, PROFILE, Known, Recalled
from seq_modules.nets.music.event_embedding import EventEmbedding, pack
from seqlight.core.checks import check_choice

Heads = Literal["chained", "independent"]


class EventHeads(nn.Module):
    """The heads of one net, or of several whose probabilities are averaged, in each field given those before it.

    Args:
        vocab_sizes: V_f of each field.
        width: Width of the nets' output, D.
        heads: "chained" or "independent"; see :class:`EventHead`.
        relative: Whether the heads know the last pitch, and the scale.
        recall: Whether they are told events that followed upon the like.
        members: How many nets.
        pitch_ids: Smallest and greatest id of the field pitch that is one; by default all are.

    Attributes:
        vocab_sizes: As given.
    """

    def __init__(
        self,
        vocab_sizes: Sequence[int],
        width: int,
        heads: Heads = "chained",
        relative: bool = False,
        recall: bool = False,
        members: int = 1,
        pitch_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.vocab_sizes = list(vocab_sizes)
        self.members = nn.ModuleList(
            EventHead(vocab_sizes, width, heads, relative, recall, pitch_ids) for _ in range(members)
        )

    def forward(self, known: Known, events: Tensor | None = None) -> list[Tensor]:
        """Logits of every field, (..., V_f) each, at least float32.

        Args:
            known: What the nets know, (...).
            events: The events that are predicted, (..., F), whose fields chained heads are told. Without them each
                field is told the likeliest of the fields before it.
        """
        logits: list[Tensor] = []
        told: list[Tensor] = []
        for field in range(len(self.vocab_sizes)):
            logits.append(self.field(known, told))
            told.append(logits[-1].argmax(-1) if events is None else events[..., field])
        return logits

    def field(self, known: Known, chosen: list[Tensor]) -> Tensor:
        """Logits (..., V_f) of field f from what is known and the f fields before it, (...) each."""
        members = range(known.first, known.first + len(known.outputs))
        logits = [self.members[member](x, known, chosen) for member, x in zip(members, known.outputs, strict=True)]
        return logits[0] if len(logits) == 1 else averaged(logits)

    def pack(self, events: Tensor) -> Tensor:
        """:func:`seq_modules.nets.music.event_embedding.pack` with these fields."""
        return pack(events, self.vocab_sizes)


class EventHead(nn.Module):
    """The next event, field by field, from what one net knows of the events before it.

    "independent": each field has a linear layer of its own, and all are drawn as if unrelated (Foster, "Generative Deep
    Learning", 2023, chapter 11). "chained": field f also sees the fields before it of the same event, so that the
    product of the distributions is that of whole events: x + gelu(A_f·[x; e]) takes the place of the net's output x, e
    being those fields' embedding.

    Two more sums make a logit where they are asked for: one for the distance of a pitch to the last one, with weights
    that are the same wherever on the keyboard, and a score for each recalled event that has the id in this field. With
    distances comes the scale, which is added to the net's output first.
    Arguments as for :class:`EventHeads`.
    """

    def __init__(
        self,
        vocab_sizes: Sequence[int],
        width: int,
        heads: Heads,
        relative: bool,
        recall: bool,
        pitch_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        check_choice("heads", heads, Heads)
        self.vocab_sizes = list(vocab_sizes)
        self.outputs = nn.ModuleList(nn.Linear(width, size) for size in vocab_sizes)
        chained = heads == "chained" and len(vocab_sizes) > 1
        self.earlier = EventEmbedding(vocab_sizes[:-1], width) if chained else None
        self.mixes = nn.ModuleList(nn.Linear(2 * width, width) for _ in vocab_sizes[1:]) if chained else None
        self.distances = nn.Linear(width, 2 * vocab_sizes[-2]) if relative else None
        self.scale = nn.Linear(PROFILE, width, bias=False) if relative else None
        self.pitch_ids = None if pitch_ids is None else (pitch_ids[0], pitch_ids[1])
        self.pointers: nn.ModuleList | None = None
        if recall:
            self.pointers = nn.ModuleList(
                EventPointer(width, chained and field > 0) for field in range(len(vocab_sizes))
            )

    def forward(self, x: Tensor, known: Known, chosen: list[Tensor]) -> Tensor:
        """Logits (..., V_f) of field f, at least float32.

        Args:
            x: The net's output, (..., D).
            known: What is known besides.
            chosen: The event's f fields before this one, (...) each; independent heads do not look at them.
        """
        at = len(chosen)
        if self.scale is not None and known.profile is not None:
            x = x + self.scale(known.profile.to(x.dtype))
        if chosen and self.earlier is not None and self.mixes is not None:
            told = self.earlier.of(torch.stack(chosen, dim=-1)).to(x.dtype)
            x = x + F.gelu(self.mixes[at - 1](torch.cat([x, told], dim=-1)))  # (..., 2·D) -> (..., D)
        z = self.outputs[at](x)
        if self.distances is not None and known.anchor is not None and at == len(self.vocab_sizes) - 2:
            z = z + self.by_distance(self.distances(x), known.anchor)
        if self.pointers is not None and known.recalled is not None:
            z = z + self.pointers[at](x, known.recalled, chosen, self.vocab_sizes[at])
        return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z

    def by_distance(self, weights: Tensor, anchor: Tensor) -> Tensor:
        """Logits (..., V) of pitches, from weights (..., 2·V) of their distances to a pitch (...), or to none: 0.

        They are 0 for ids that are no pitches, which are at no distance.
        """
        size = weights.shape[-1] // 2
        ids = torch.arange(size, device=weights.device)
        found = weights.gather(-1, (ids - anchor[..., None] + size).clamp(0, 2 * size - 1))
        first, last = self.pitch_ids or (0, size - 1)
        return found * ((anchor >= 0)[..., None] & (ids >= first) & (ids <= last))


class EventPointer(nn.Module):
    """How much one field of each recalled event is to be trusted.

    Args:
        width: Width of what is known, D.
        told: Whether it is told if the event's fields before agree with what was chosen.
    """

    WIDTH = 32

    def __init__(self, width: int, told: bool) -> None:
        super().__init__()
        self.runs = nn.ModuleList(nn.Embedding(LONGEST + 1, self.WIDTH) for _ in range(2))
        self.lags = nn.Embedding(LAGS, self.WIDTH)
        self.agrees = nn.Embedding(2, self.WIDTH) if told else None
        self.known = nn.Linear(width, self.WIDTH)
        self.score = nn.Sequential(nn.GELU(), nn.Linear(self.WIDTH, self.WIDTH), nn.GELU(), nn.Linear(self.WIDTH, 1))

    def forward(self, x: Tensor, recalled: Recalled, chosen: list[Tensor], size: int) -> Tensor:
        """What is added to the logits, (..., V_f).

        Args:
            x: What is known, (..., D).
            recalled: (..., M).
            chosen: The event's fields before this one, (...) each.
            size: V_f.
        """
        events, runs, lags = recalled
        z = self.runs[0](runs[..., 0]) + self.runs[1](runs[..., 1]) + self.lags(lags)  # (..., M, W)
        if self.agrees is not None:
            before = torch.stack(chosen, dim=-1)[..., None, :]  # (..., 1, f)
            z = z + self.agrees((events[..., : len(chosen)] == before).all(-1).long())
        scores = self.score(z + self.known(x)[..., None, :]).squeeze(-1)  # (..., M)
        scores = scores * (runs.amax(-1) > 0)
        return scores.new_zeros(*scores.shape[:-1], size).scatter_add(-1, events[..., len(chosen)], scores)
