"""Music decoders: the next note, from those before it, with a Transformer or with a recurrent net.

B batch, T time, N events, F fields, V_f vocabulary of field f.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import Tensor, nn
from torchmetrics import Metric

from seq_modules.base import SequenceModule, Step
from seq_modules.callbacks.training.active_member import ActiveMember
from seq_modules.generation.decoding_config import Decoding
from seq_modules.nets.music.event_embedding import EventEmbedding
from seq_modules.nets.music.event_heads import NoteConfig
from seq_modules.nets.music.event_net import EventNet
from seq_modules.nets.rnn.language_net import RNNConfig, RNNNet
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.nets.transformer.gpt import GPT, GPTConfig
from seq_modules.systems.music_generation import MusicGeneration, fields_of, generate_music
from seq_modules.training.metrics.means import Perplexity
from seq_modules.training.metrics.notes import FieldAccuracy, FieldLoss, NatsPerNote
from seq_modules.training.optim import OptimConfig
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import group_from, required
from seqlight.core.labels import IGNORED
from seqlight.music.bars import end_of_bars, truncated
from seqlight.music.notes import Piece


class MusicDecoder(SequenceModule):
    """Base of the music decoders: loss over a note's fields, and generation with any net that reads events.

    A note is an event of two to four ids: (pitch, duration) or (shift, pitch, duration), and perhaps its velocity.
    END is one as well. Or a note is spelled by several events of one id (REMI's tokens). The loss is that of a whole
    event, the sum over its fields in nats. Divided by the notes, of which a batch says how many there are (``notes``)
    if not every event is one, it compares with any other model of the same notes (``nats_per_note`` in validation and
    test). Everything is measured on real music: each note after the true ones before it, and with chained heads a
    field after the true fields before it, so that ``duration_accuracy`` is that of the duration where the pitch is
    known.

    Args:
        backbone: Makes a net of the embedding of what it reads; it has no head.
        d_model: Width of the embedding.
        width: Width of the backbone's output.
        vocab_sizes: Ids of each field.
        pitch_ids: Smallest and greatest id that is a pitch.
        ticks: Ticks by which each duration (of several voices: shift) moves the clock on.
        notes: What is read and predicted of a note.
        ensemble_size: Number of nets.
        generation: Limits of a prediction.
        optim: Optimiser and schedule.
        fields: Names of the fields.

    Attributes:
        generation: As the argument; may be replaced before a prediction.
        decoding: How events are chosen where a call does not say; the command line's --decoding.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    tokenizer_flags = "--data.tokenizer_path"

    def __init__(
        self,
        backbone: Callable[[EventEmbedding], nn.Module],
        d_model: int,
        width: int,
        vocab_sizes: list[int] | None,
        pitch_ids: list[int] | None,
        ticks: tuple[int, ...] | None,
        notes: NoteConfig | dict[str, Any],
        ensemble_size: int,
        generation: MusicGeneration | dict[str, Any],
        optim: OptimConfig | dict[str, Any],
        fields: Sequence[str] | None,
    ) -> None:
        sizes = list(required("vocab_sizes", vocab_sizes))
        names = fields_of(sizes, fields)
        metrics: dict[str, Metric] = {"perplexity": Perplexity()}
        for field, name in enumerate(names):
            metrics |= {f"{name}_accuracy": FieldAccuracy(field), f"{name}_loss": FieldLoss(field)}
        super().__init__(metrics, optim)
        for evaluated in (self.val_metrics, self.test_metrics):
            evaluated.add_metrics({"nats_per_note": NatsPerNote()})
        self.vocab_sizes = sizes
        self.generation = group_from(MusicGeneration, generation)
        self.decoding = Decoding()
        config = group_from(NoteConfig, notes)
        pitch = names.index("pitch") if "pitch" in names else None
        self.net = EventNet(backbone, sizes, d_model, width, config, ensemble_size, pitch_ids, ticks, pitch)

    def setup(self, stage: str) -> None:
        """See the base class. A signature stays in every window."""
        super().setup(stage)
        self.net.set_prefix_len(0 if getattr(self.tokenizer, "signatures", None) is None else 1)

    def configure_callbacks(self) -> list[Callback]:
        """Adds, for an ensemble, the callback that chooses the member of a step."""
        return [*super().configure_callbacks(), *([ActiveMember()] if len(self.net.each) > 1 else [])]

    @property
    def tokens_per_note(self) -> int:
        """How many decoding steps one note usually takes."""
        return 4 if len(self.vocab_sizes) == 1 else 1

    def forward(self, input_ids: Tensor, events: Tensor | None = None) -> list[Tensor]:
        """Logits of each field of the next event at every step, (B, T, V_f) each.

        Args:
            input_ids: The events so far, (B, T, F).
            events: The next events, (B, T, F), whose earlier fields chained heads see; by default they see the
                likeliest ids.
        """
        return self.net(self.net.pack(input_ids), events)

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Cross-entropy in nats, summed over the fields and over the labels that count; a target is an event."""
        labels = batch["labels"]
        logits = self(batch["input_ids"], labels.clamp(min=0))
        losses, hits = [], []
        for field, z in enumerate(logits):
            right = labels[..., field]
            losses.append(F.cross_entropy(z.flatten(0, 1), right.flatten(), ignore_index=IGNORED, reduction="sum"))
            hits.append((z.argmax(-1) == right).sum())
        counted = (labels != IGNORED).sum((0, 1))  # (F,)
        notes = batch["notes"].sum() if "notes" in batch else counted[0]
        inputs = {
            "notes": notes,
            "field_losses": torch.stack(losses),
            "field_hits": torch.stack(hits),
            "field_targets": counted,
        }
        return Step(inputs["field_losses"].sum(), counted[0], inputs)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a prompt: its notes, and those that the model adds, (start, pitch, duration) in ticks.

        A fourth number is the velocity, if it is modelled. Changes of metre and tempo, if there are any, are pairs of
        the tick and what begins there.
        """
        indices = batch["index"].tolist()
        rows = []
        for index, (given, piece) in zip(indices, self.continuations(batch["prompts"], indices), strict=True):
            made = Counter(piece.notes) - Counter(given.notes)
            values = 4 if "velocity" in required_tokenizer(self).fields else 3
            rows.append(
                {
                    "index": index,
                    "prompt": given.name,
                    "prompt_notes": [list(note[:values]) for note in given.notes],
                    "notes": [list(note[:values]) for note in sorted(made.elements())],
                    "time_signature": list(given.time_signature),
                    "quarters_per_minute": given.quarters_per_minute,
                    "key": None if given.key is None else list(given.key),
                }
                | ({"metres": [[tick, list(metre)] for tick, metre in given.metres]} if given.metres else {})
                | ({"tempos": [list(change) for change in given.tempos]} if given.tempos else {})
            )
        return rows

    def sample(
        self, count: int, decoding: Decoding | None = None, prompt: np.ndarray | None = None, cached: bool = True
    ) -> list[np.ndarray]:
        """New events, (N, F) each, without START and END.

        Args:
            count: How many samples.
            decoding: How events are chosen; by default as ``self.decoding`` says.
            prompt: Events (N, F) to continue, without START; by default none: a piece from its beginning.
            cached: False computes every event anew from all before it, which gives the same and is slow.

        Raises:
            UserError: There is no tokenizer, or ``generation`` leaves no pitch of its.
        """
        tokenizer = required_tokenizer(self)
        begin = tokenizer.decode([] if prompt is None else prompt)
        ids = np.zeros((0, len(self.vocab_sizes)), np.int64) if prompt is None else prompt
        how = (decoding or self.decoding, self.generation, cached)
        return generate_music(self.net, tokenizer, [begin] * count, [ids] * count, list(range(count)), *how)

    def sample_pieces(self, count: int, decoding: Decoding | None = None, prompt: Piece | None = None) -> list[Piece]:
        """As :meth:`sample`, as pieces, which begin with the prompt's notes.

        Args:
            count: How many samples.
            decoding: How events are chosen.
            prompt: A piece to continue.
        """
        begin = required_tokenizer(self).decode([]) if prompt is None else prompt
        pieces = self.continuations([begin] * count, list(range(count)), decoding)
        return [replace(piece, name=f"sample {number}") for number, (_, piece) in enumerate(pieces, 1)]

    def continuations(
        self, prompts: Sequence[Piece], sample_ids: list[int], decoding: Decoding | None = None
    ) -> list[tuple[Piece, Piece]]:
        """Each prompt as the model reads it, and the same with the model's continuation.

        Args:
            prompts: Pieces; one without notes lets the model begin.
            sample_ids: Number of each prompt, which with the seed selects its random numbers.
            decoding: How events are chosen.
        """
        tokenizer, bars, pieces = required_tokenizer(self), self.generation.max_bars, []
        ids = [tokenizer.encode(prompt) for prompt in prompts]
        begun = [
            replace(prompt, notes=tokenizer.decode(events).notes) for events, prompt in zip(ids, prompts, strict=True)
        ]
        found = generate_music(self.net, tokenizer, begun, ids, sample_ids, decoding or self.decoding, self.generation)
        for index, new in enumerate(found):
            notes = tokenizer.decode(np.concatenate([ids[index], new])).notes
            piece = replace(prompts[index], notes=notes)
            pieces.append(piece if bars is None else truncated(piece, end_of_bars(begun[index], bars)))
        return list(zip(begun, pieces, strict=True))


class TransformerMusicDecoder(MusicDecoder):
    """Next-note prediction with a Transformer decoder (Huang et al. 2019), a note being one step (Hsiao et al. 2021).

    Args:
        vocab_sizes: Ids of each field of a note; comes from the data.
        pitch_ids: Smallest and greatest id that is a pitch; comes from the data.
        ticks: Ticks by which each duration (of several voices: shift) moves the clock on; comes from the data.
        net: The Transformer; its context counts notes, and rotary positions were measured to be the best by far. It has
            no head, so that ``tie_weights`` and ``extras.logit_softcap`` mean nothing.
        notes: What is read and predicted of a note.
        ensemble_size: Number of nets, trained in rotation, a batch each, whose probabilities are averaged afterwards.
        generation: Limits of a prediction; not saved.
        optim: Optimiser and schedule.
        fields: Names of a note's fields; comes from the data. Default: those without velocity.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    def __init__(
        self,
        vocab_sizes: list[int] | None = None,
        pitch_ids: list[int] | None = None,
        ticks: tuple[int, ...] | None = None,  # jsonargparse checks a list in quadratic time
        net: GPTConfig = GPTConfig(
            d_model=128,
            num_layers=4,
            num_heads=4,
            max_seq_len=128,
            positions="rotary",
            dropout=0.2,
            tie_weights=False,
        ),
        notes: NoteConfig = NoteConfig(),
        ensemble_size: int = 1,
        generation: MusicGeneration = MusicGeneration(),
        optim: OptimConfig = OptimConfig(
            learning_rate=1e-3, weight_decay=0.1, beta2=0.99, warmup_steps=100, schedule="cosine", fused=True
        ),
        fields: list[str] | None = None,
    ) -> None:
        config = group_from(GPTConfig, net)
        if config.extras.value_embeddings or config.extras.logit_softcap is not None:
            name = "value_embeddings" if config.extras.value_embeddings else "logit_softcap"
            raise UserError(f"net.extras.{name} is for tokens, not for notes; leave it out")

        def backbone(embedding: EventEmbedding) -> GPT:
            return GPT(embedding.num_embeddings, config, embedding=embedding, head=nn.Identity())

        data = (vocab_sizes, pitch_ids, ticks)
        super().__init__(
            backbone, config.d_model, config.d_model, *data, notes, ensemble_size, generation, optim, fields
        )
        self.save_hyperparameters(ignore=["generation"])


class RNNMusicDecoder(MusicDecoder):
    """Next-note prediction with an LSTM, GRU or RNN (Eck & Schmidhuber 2002 composed blues with an LSTM).

    Args:
        vocab_sizes: Ids of each field of a note; comes from the data.
        pitch_ids: Smallest and greatest id that is a pitch; comes from the data.
        ticks: Ticks by which each duration (of several voices: shift) moves the clock on; comes from the data.
        net: The recurrent net; it has no head, so that ``tie_weights`` means nothing.
        notes: What is read and predicted of a note.
        ensemble_size: Number of nets, trained in rotation, a batch each, whose probabilities are averaged afterwards.
        generation: Limits of a prediction; not saved.
        optim: Optimiser and schedule.
        fields: Names of a note's fields; comes from the data. Default: those without velocity.

    Raises:
        UserError: A value is out of its range, or two do not go together.
    """

    def __init__(
        self,
        vocab_sizes: list[int] | None = None,
        pitch_ids: list[int] | None = None,
        ticks: tuple[int, ...] | None = None,  # jsonargparse checks a list in quadratic time
        net: RNNConfig = RNNConfig(
            d_model=192, dropout=0.2, rnn=RecurrentConfig(hidden_size=192, num_layers=2, dropout=0.2)
        ),
        notes: NoteConfig = NoteConfig(),
        ensemble_size: int = 1,
        generation: MusicGeneration = MusicGeneration(),
        optim: OptimConfig = OptimConfig(
            learning_rate=3e-3, weight_decay=0.1, warmup_steps=50, schedule="cosine", fused=True
        ),
        fields: list[str] | None = None,
    ) -> None:
        config = group_from(RNNConfig, net)

        def backbone(embedding: EventEmbedding) -> RNNNet:
            return RNNNet(embedding.num_embeddings, config, embedding=embedding, head=nn.Identity())

        data = (vocab_sizes, pitch_ids, ticks)
        super().__init__(
            backbone, config.d_model, config.rnn.hidden_size, *data, notes, ensemble_size, generation, optim, fields
        )
        self.save_hyperparameters(ignore=["generation"])
