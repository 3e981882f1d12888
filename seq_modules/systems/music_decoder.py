"""Music decoders: the next note, from those before it. What the Transformer and the recurrent nets share.

B batch, T time, N events, F fields, V_f vocabulary of field f.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torchmetrics import Metric

from seq_modules.base import Step
from seq_modules.generation.fields import Event, Rules, generate_events
from seq_modules.generation.grammar import TokenRules
from seq_modules.generation.sampling import Decoding
from seq_modules.nets.music.event_embedding import EventEmbedding
from seq_modules.nets.music.event_heads import EventHeads, Heads
from seq_modules.nets.music.event_net import EventNet, reading_sizes
from seq_modules.systems.turns import TurnTaking, check_members
from seq_modules.training.metrics import FieldAccuracy, FieldLoss, NatsPerNote, Perplexity
from seqlight.core.errors import UserError
from seqlight.core.labels import IGNORED
from seqlight.music.bars import cut, end_of_bars, ticks

FIELDS = {1: ("token",), 2: ("pitch", "duration"), 3: ("shift", "pitch", "duration")}
GENERATION = ("max_bars", "lowest_pitch", "highest_pitch", "stop_at_end")  # settings of a prediction, not of the model


class MusicDecoder(TurnTaking):
    """Base of the music decoders: loss over a note's fields, and generation with any net that reads events.

    A note is an event of two or three ids, (pitch, duration) or (shift, pitch, duration), END being one as well; or it
    is spelled by several events of one id (REMI's tokens). The loss is that of a whole event, the sum over its fields
    in nats. Divided by the notes, of which a batch says how many there are (``notes``) if not every event is one, it
    compares with any other model of notes (``nats_per_note`` in validation and test). Everything is measured on real
    music: each note after the true ones before it, and with chained heads a field after the true fields before it, so
    that ``duration_accuracy`` is that of the duration where the pitch is known. A subclass calls :meth:`assemble`,
    which makes ``net`` and ``heads``.

    Args:
        vocab_sizes: Ids of each field.
        max_bars: See the subclasses.
        lowest_pitch: See the subclasses.
        highest_pitch: See the subclasses.
        stop_at_end: See the subclasses.
        training: The arguments of SequenceModule, from ``learning_rate`` on.

    Raises:
        ValueError: An argument is out of its range.
    """

    net: EventNet
    heads: EventHeads
    fused_adamw = True
    tokenizer_flags = "--data.tokenizer_path"

    def __init__(
        self,
        vocab_sizes: list[int] | None,
        max_bars: int | None = None,
        lowest_pitch: int | None = None,
        highest_pitch: int | None = None,
        stop_at_end: bool = True,
        **training: Any,
    ) -> None:
        if vocab_sizes is None:
            raise UserError("vocab_sizes are not given, and no data is there to take them from")
        if len(vocab_sizes) not in FIELDS:
            raise UserError(f"vocab_sizes {vocab_sizes} must be one (token), two (pitch, duration) or three (shift)")
        metrics: dict[str, Metric] = {"perplexity": Perplexity()}
        for field, name in enumerate(FIELDS[len(vocab_sizes)]):
            metrics |= {f"{name}_accuracy": FieldAccuracy(field), f"{name}_loss": FieldLoss(field)}
        super().__init__(metrics, **training)
        for evaluated in (self.val_metrics, self.test_metrics):
            evaluated.add_metrics({"nats_per_note": NatsPerNote()})
        if max_bars is not None and max_bars < 1:
            raise UserError(f"max_bars must be at least 1, or left out, not {max_bars}")
        for name, pitch in (("lowest_pitch", lowest_pitch), ("highest_pitch", highest_pitch)):
            if pitch is not None and not 0 <= pitch <= 127:
                raise UserError(f"{name} must be a MIDI pitch, 0 to 127, or left out, not {pitch}")
        self.vocab_sizes = list(vocab_sizes)
        self.max_bars, self.stop_at_end = max_bars, stop_at_end
        self.lowest_pitch, self.highest_pitch = lowest_pitch, highest_pitch
        self.decoding = Decoding()  # the command line's --decoding

    def assemble(
        self,
        body: Callable[[EventEmbedding], nn.Module],
        d_model: int,
        width: int,
        heads: Heads,
        relative: bool,
        recalled: int,
        members: int,
        pitch_ids: list[int] | None,
        ticks: list[int] | None,
    ) -> None:
        """Makes ``net`` and ``heads``; for the arguments see the subclasses.

        Args:
            body: Makes a net of the embedding of what it reads; it has no head.
            d_model: Width of the embedding.
            width: Width of the net's output.
            heads: Kind of heads.
            relative: Whether intervals are read and predicted.
            recalled: How many events are looked up.
            members: How many nets.
            pitch_ids: Which ids are pitches.
            ticks: How far the ids move the clock.

        Raises:
            ValueError: An argument is out of its range, or ``relative`` or ``recalled`` are asked for of single tokens.
        """
        if (relative or recalled) and len(self.vocab_sizes) < 2:
            name = "relative" if relative else "recalled"
            raise UserError(f"{name} is of notes, not of tokens; give --model.relative false --model.recalled 0")
        sizes = reading_sizes(self.vocab_sizes, relative)
        nets = [body(EventEmbedding(sizes, d_model)) for _ in range(check_members(members))]
        self.net = EventNet(nets, self.vocab_sizes, relative, recalled, pitch_ids, ticks)
        self.heads = EventHeads(self.vocab_sizes, width, heads, relative, recalled > 0, members, pitch_ids)

    def setup(self, stage: str) -> None:
        """See the base class; and keeps signatures in view."""
        super().setup(stage)
        self.net.keep(0 if getattr(self.tokenizer, "signatures", None) is None else 1)

    @property
    def tokens_per_note(self) -> int:
        """As many steps are enough for a note, as a rule."""
        return 4 if len(self.vocab_sizes) == 1 else 1

    def forward(self, input_ids: Tensor, events: Tensor | None = None) -> list[Tensor]:
        """Logits of each field of the next event at every step, (B, T, V_f) each.

        Args:
            input_ids: The events so far, (B, T, F).
            events: The next events, (B, T, F), of which chained heads are told the fields before the one they predict;
                by default they are told the likeliest.
        """
        return self.heads(self.net(self.heads.pack(input_ids)), events)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the fields and over the labels that count. An item is an event."""
        labels = batch["labels"]
        logits = self(batch["input_ids"], labels.clamp(min=0))
        losses, hits = [], []
        for field, z in enumerate(logits):
            right = labels[..., field]
            losses.append(F.cross_entropy(z.flatten(0, 1), right.flatten(), ignore_index=IGNORED, reduction="sum"))
            hits.append((z.argmax(-1) == right).sum())
        counted = (labels != IGNORED).sum((0, 1))  # (F,)
        notes = batch["notes"].sum() if "notes" in batch else counted[0]
        measured = {
            "notes": notes,
            "field_losses": torch.stack(losses),
            "field_hits": torch.stack(hits),
            "field_items": counted,
        }
        return Step(measured["field_losses"].sum(), counted[0], measured)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a prompt: its notes, and those that the model goes on with, (start, pitch, duration) in ticks."""
        indices = batch["index"].tolist()
        rows = []
        for index, (given, piece) in zip(indices, self.continuations(batch["prompts"], indices), strict=True):
            made = Counter(piece.notes) - Counter(given.notes)
            rows.append(
                {
                    "index": index,
                    "prompt": given.name,
                    "prompt_notes": [list(note) for note in given.notes],
                    "notes": [list(note) for note in sorted(made.elements())],
                    "time_signature": list(given.time_signature),
                    "quarters_per_minute": given.quarters_per_minute,
                    "key": None if given.key is None else list(given.key),
                }
            )
        return rows

    def sample(
        self, count: int, decoding: Decoding | None = None, prompt: np.ndarray | None = None, cached: bool = True
    ) -> list[np.ndarray]:
        """New events, (N, F) each, without START and END.

        Args:
            count: How many samples.
            decoding: How to choose events; by default as ``self.decoding`` says.
            prompt: Events (N, F) to go on from, without START; by default none: a piece from its beginning.
            cached: False computes every event anew from all before it, which gives the same and is slow.

        Raises:
            ValueError: There is no tokenizer, or ``lowest_pitch`` and ``highest_pitch`` leave no pitch of its.
        """
        begin = self.required_tokenizer().decode([] if prompt is None else prompt)
        given = np.zeros((0, len(self.vocab_sizes)), np.int64) if prompt is None else prompt
        return self._continue([begin] * count, [given] * count, list(range(count)), decoding, cached)

    def sample_pieces(self, count: int, decoding: Decoding | None = None, prompt: Any = None) -> list[Any]:
        """As :meth:`sample`, as the tokenizer's pieces, which begin with the prompt's notes.

        Args:
            count: How many samples.
            decoding: How to choose events.
            prompt: A piece to go on from.
        """
        begin = self.required_tokenizer().decode([]) if prompt is None else prompt
        pieces = self.continuations([begin] * count, list(range(count)), decoding)
        return [replace(piece, name=f"sample {number}") for number, (_, piece) in enumerate(pieces, 1)]

    def continuations(
        self, prompts: Sequence[Any], rows: list[int], decoding: Decoding | None = None
    ) -> list[tuple[Any, Any]]:
        """Each piece as the model reads it, and the same with what the model goes on with.

        Args:
            prompts: Pieces; one without notes lets the model begin.
            rows: Their numbers; a row's number and the seed alone decide what is drawn for it.
            decoding: How to choose events.
        """
        tokenizer, pieces = self.required_tokenizer(), []
        ids = [tokenizer.encode(prompt) for prompt in prompts]
        like = [(prompt.name, prompt.time_signature, prompt.quarters_per_minute, prompt.key) for prompt in prompts]
        begun = [tokenizer.decode(events, *of) for events, of in zip(ids, like, strict=True)]
        for place, new in enumerate(self._continue(begun, ids, rows, decoding)):
            piece = tokenizer.decode(np.concatenate([ids[place], new]), *like[place])
            pieces.append(piece if self.max_bars is None else cut(piece, end_of_bars(begun[place], self.max_bars)))
        return list(zip(begun, pieces, strict=True))

    def _continue(
        self,
        prompts: Sequence[Any],
        ids: Sequence[np.ndarray],
        rows: list[int],
        decoding: Decoding | None,
        cached: bool = True,
    ) -> list[np.ndarray]:
        """New events (N, F) of prompts, given as pieces that the tokenizer decodes and as the events of those."""
        tokenizer, decoding = self.required_tokenizer(), decoding or self.decoding
        limits = [math.inf if self.max_bars is None else end_of_bars(prompt, self.max_bars) for prompt in prompts]
        clocks = [tokenizer.origin + ticks(events, tokenizer) for events in ids]

        def is_over(place: int, new: list[Event]) -> bool:
            clocks[place] += ticks(np.array(new[-1:]), tokenizer)
            return clocks[place] >= limits[place]

        start = (tokenizer.start_id, *[0] * (len(self.vocab_sizes) - 1))
        heads = [list(map(tuple, tokenizer.head(prompt).tolist())) for prompt in prompts]
        self.net.keep(len(heads[0]) if heads else 0)
        texts = [[*head, start, *map(tuple, events.tolist())] for head, events in zip(heads, ids, strict=True)]
        new = generate_events(self.net, self.heads, texts, decoding, self.rules(), rows, cached, is_over)
        ended = [events[-1][0] == tokenizer.end_id for events in new]
        full = [clock >= limit for clock, limit in zip(clocks, limits, strict=True)]
        if self.max_bars is not None and not all(end or bars for end, bars in zip(ended, full, strict=True)):
            unit = "tokens" if len(self.vocab_sizes) == 1 else "notes"
            rank_zero_warn(
                f"max_bars {self.max_bars} are not reached in {decoding.max_new_tokens} {unit}; "
                "--decoding.max_new_tokens allows for more"
            )
        late = len(self.vocab_sizes) != 2  # with shifts or bars, the event that fills the bars stands behind them
        kept = [
            events[: len(events) - (end or (bars and late))] for events, end, bars in zip(new, ended, full, strict=True)
        ]
        return [np.array(events, dtype=np.int64).reshape(-1, len(self.vocab_sizes)) for events in kept]

    def rules(self) -> Rules:
        """Which ids may be chosen: no START, no signature, no pitch out of range; a chord's notes in order."""
        tokenizer, sizes = self.required_tokenizer(), self.vocab_sizes
        low = 0 if self.lowest_pitch is None else self.lowest_pitch
        high = 127 if self.highest_pitch is None else self.highest_pitch
        in_range = [pitch is None or low <= pitch <= high for pitch in tokenizer.pitches]
        sounding = [pitch for pitch in tokenizer.pitches if pitch is not None]
        if not any(low <= pitch <= high for pitch in sounding):
            name = "lowest_pitch" if self.lowest_pitch is not None else "highest_pitch"
            raise UserError(
                f"{name}: none of the pitches that the model knows, {min(sounding)} to {max(sounding)}, is from {low} "
                f"to {high}"
            )
        allowed = []
        for name, size, of_notes in zip(FIELDS[len(sizes)], sizes, tokenizer.note_sizes, strict=True):
            ids = in_range if name == "pitch" else [True] * size
            allowed.append([may and i < of_notes for i, may in enumerate(ids)])
        if len(sizes) == 1:
            grammar = tokenizer.kinds, tokenizer.values, tokenizer.end_id, in_range
            return TokenRules(*grammar, self.stop_at_end, -tokenizer.origin if tokenizer.one_voice else None)
        special = (tokenizer.start_id, tokenizer.end_id)
        chord = [i for i, shift in enumerate(tokenizer.shifts) if shift == 0 and i not in special and allowed[0][i]]
        return Rules(sizes, *special, allowed, self.stop_at_end, chord[0] if chord else None)
