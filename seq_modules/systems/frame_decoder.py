"""Chorales frame by frame: the exact probability of the set of pitches on each quarter, from all frames before.

B batch, T time, S slots of a frame, M frames retrieved, N frames that count.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.base import SequenceModule, Step
from seq_modules.generation.decode import evaluating
from seq_modules.generation.decoding_config import Decoding
from seq_modules.generation.frames import FrameRetriever, FrameSampler, FrameState
from seq_modules.generation.loop import decode
from seq_modules.nets.music.frame_backbones import FrameTransformerConfig, RecurrentBackbone, TransformerBackbone
from seq_modules.nets.music.frame_net import FrameConfig, FrameNet
from seq_modules.nets.precision import at_least_float32
from seq_modules.nets.rnn.recurrent_config import RecurrentConfig
from seq_modules.training.metrics.frames import ExactFrames, FrameAccuracy, NatsPerFrame, Part
from seq_modules.training.metrics.means import MeanLoss
from seq_modules.training.optim import OptimConfig
from seq_modules.training.tokenizer import required_tokenizer
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import group_from, required
from seqlight.core.labels import IGNORED
from seqlight.music.frame_notes import frames_to_notes


class FrameDecoder(SequenceModule):
    """Base of the models of frames: likelihood, metrics and sampling with a backbone that a subclass chooses.

    Batches have ``input_ids`` and ``labels`` (B, T, S), ``position`` (B,), and with retrieval ``retrieved``
    (B, T, M, S) and ``match_lengths`` (B, T, M, 2); see datamodules/music/chorale_frames.py.

    Args:
        backbone: The net over time.
        vocab_size: Pitches, END and START.
        frame_size: Pitches of a frame at most.
        frames: The net within a frame, and its retrieval.
        optim: Optimiser and schedule.

    Attributes:
        decoding: How frames are chosen where a call does not say; the command line's --decoding.
    """

    tokenizer_flags = "--data.tokens"

    def __init__(
        self,
        backbone: RecurrentBackbone | TransformerBackbone,
        vocab_size: int | None,
        frame_size: int | None,
        frames: FrameConfig | dict[str, Any],
        optim: OptimConfig | dict[str, Any],
    ) -> None:
        super().__init__({"nats_per_frame": MeanLoss()}, optim)
        for metrics in (self.val_metrics, self.test_metrics):
            metrics.add_metrics({"frame_accuracy": FrameAccuracy(), "exact_frames": ExactFrames()})
        parts: tuple[Part, ...] = ("clean", "leaked")
        for part in parts:
            self.test_metrics.add_metrics({f"{part}_nats_per_frame": NatsPerFrame(part)})
        self.decoding = Decoding()
        config = group_from(FrameConfig, frames)
        self.retrieval_dropout = config.retrieval_dropout
        sizes = required("vocab_size", vocab_size), required("frame_size", frame_size)
        self.net = FrameNet(*sizes, backbone, config)

    def setup(self, stage: str) -> None:
        """Takes the tokenizer of the data.

        Raises:
            UserError: In training, the net has a copy head and the data retrieve nothing: its weights would get no
                gradient. A trained net may well be tested without.
        """
        super().setup(stage)
        retrieved = getattr(getattr(self.trainer, "datamodule", None), "retrieved", None)
        if stage == "fit" and retrieved == 0 and self.net.within.copy is not None:
            raise UserError(
                "frames.retrieval is true, but --data.retrieved 0 gives it nothing; add --model.frames.retrieval "
                "false, or leave out --data.retrieved 0"
            )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Nats of each frame of a batch, (N,), in the order of its rows, padding left out."""
        return self._slot_nats(batch)[0].sum(1)

    def _slot_nats(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Nats at each slot (N, S), 0 behind END; and what :meth:`predicted` needs of the frames."""
        labels = batch["labels"]
        real = labels[:, :, 0] != IGNORED  # (B, T): a frame has at least END
        state = self.net(batch["input_ids"], batch["position"])[real]  # (B, T, D) -> (N, D)
        given = {"state": state, "before": batch["input_ids"][real]}
        if "retrieved" in batch:
            lengths = batch["match_lengths"]
            if self.training and self.retrieval_dropout:
                used = torch.rand(len(lengths), device=lengths.device) >= self.retrieval_dropout
                lengths = lengths * used[:, None, None, None]
            given |= {"retrieved": batch["retrieved"][real], "lengths": lengths[real]}
        labels = labels[real]
        frame = labels.masked_fill(labels == IGNORED, self.net.end_id)
        logits = self.net.within(frame=frame, **given)  # (N, S, P + 1)
        nats = F.cross_entropy(at_least_float32(logits.mT), labels, ignore_index=IGNORED, reduction="none")
        return nats, {**given, "frame": frame}

    def predicted(self, state: Tensor, before: Tensor, **retrieved: Tensor) -> Tensor:
        """The likeliest id at each slot, after the likeliest before it: (N, S) from states (N, D), before (N, S)."""
        frame = torch.full_like(before, self.net.end_id)
        for slot in range(self.net.frame_size):
            frame[:, slot] = self.net.within(state, before, frame, **retrieved)[:, slot].argmax(-1)
        return frame

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Negative log-likelihood in nats, summed; a target is a frame."""
        nats, given = self._slot_nats(batch)
        inputs: dict[str, Tensor] = {}
        if not self.training:
            frame = given.pop("frame")
            leaked = batch.get("leaked", torch.zeros(len(batch["labels"]), dtype=torch.bool, device=nats.device))
            per_frame = leaked[:, None].expand(batch["labels"].shape[:2])[batch["labels"][:, :, 0] != IGNORED]
            end = torch.tensor(self.net.end_id, device=nats.device)
            inputs = {"nats": nats.sum(1), "leaked": per_frame, "frame": frame, "end": end}
            inputs["predicted"] = self.predicted(**given)
        return Step(nats.sum(), torch.tensor(len(nats), device=nats.device), inputs)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        decoding: Decoding | None = None,
        prompts: Sequence[Tensor] | None = None,
        sample_ids: Sequence[int] | None = None,
        retrievers: Sequence[FrameRetriever] | None = None,
    ) -> list[Tensor]:
        """New frames, each drawn id by id; what is drawn for a row depends on the seed and its number alone.

        Args:
            count: How many pieces.
            decoding: How to choose; ``max_new_tokens`` frames each. By default as ``self.decoding`` says.
            prompts: Ids (·, S) of the frames each begins with, none of them by default.
            sample_ids: Number of each, which with the seed selects its random numbers; by default 0, 1, 2 ...
            retrievers: Retrieval for each piece; by default none. Needs ``self.tokenizer``.

        Returns:
            The new frames' ids, (max_new_tokens, S) for each piece.

        Raises:
            UserError: ``decoding`` has a repetition penalty, which sets do not know.
        """
        decoding = decoding or self.decoding
        if decoding.repetition_penalty != 1:
            raise UserError(f"repetition_penalty {decoding.repetition_penalty} is not for frames; leave it at 1")
        none = torch.zeros(0, self.net.frame_size, dtype=torch.long, device=self.device)
        pieces = [prompt.to(self.device) for prompt in prompts] if prompts is not None else [none] * count
        sample_ids = range(count) if sample_ids is None else sample_ids
        decode_frames = required_tokenizer(self).decode if retrievers else None
        longest = max(map(len, pieces)) + decoding.max_new_tokens
        with evaluating(self):
            sampler = FrameSampler(self.net, pieces, decoding, sample_ids, retrievers, decode_frames)
            frames = decode(FrameState(self.net, count, self.device), sampler, count, longest)
        return [torch.stack(new[len(piece) :]) for new, piece in zip(frames, pieces, strict=True)]

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a piece: its frames, and its notes after those of the prompt."""
        tokenizer = required_tokenizer(self)
        prompts, indices = batch["prompt_ids"], batch["index"].tolist()
        new = self.sample(len(prompts), None, prompts, indices, batch.get("retrievers"))
        found = []
        for index, name, prompt, ids in zip(indices, batch["prompts"], prompts, new, strict=True):
            given, frames = tokenizer.decode(prompt.cpu().numpy()), tokenizer.decode(ids.cpu().numpy())
            found.append(
                {
                    "index": index,
                    "prompt": name,
                    "prompt_notes": frames_to_notes(given),
                    "notes": frames_to_notes(frames, len(given)),
                    "frames": [list(frame) for frame in frames],
                }
            )
        return found


class LSTMFrameDecoder(FrameDecoder):
    """Chorales frame by frame with a recurrent net.

    Args:
        vocab_size: Pitches, END and START; comes from the data.
        frame_size: Pitches of a frame at most; comes from the data.
        net: The recurrent layers; ``hidden_size`` is the width of their inputs too, and ``dropout`` applies to their
            outputs too.
        frames: The net within a frame, and its retrieval.
        optim: Optimiser and schedule.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        frame_size: int | None = None,
        net: RecurrentConfig = RecurrentConfig(hidden_size=256, num_layers=2, dropout=0.4),
        frames: FrameConfig = FrameConfig(),
        optim: OptimConfig = OptimConfig(
            learning_rate=3e-3, weight_decay=0.1, beta2=0.98, warmup_steps=50, schedule="cosine", fused=True
        ),
    ) -> None:
        backbone = RecurrentBackbone(group_from(RecurrentConfig, net))
        super().__init__(backbone, vocab_size, frame_size, frames, optim)
        self.save_hyperparameters()


class TransformerFrameDecoder(FrameDecoder):
    """Chorales frame by frame with a Transformer over the frames.

    Args:
        vocab_size: Pitches, END and START; comes from the data.
        frame_size: Pitches of a frame at most; comes from the data.
        net: The Transformer.
        frames: The net within a frame, and its retrieval.
        optim: Optimiser and schedule.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        frame_size: int | None = None,
        net: FrameTransformerConfig = FrameTransformerConfig(),
        frames: FrameConfig = FrameConfig(input_dropout=0.1),
        optim: OptimConfig = OptimConfig(
            learning_rate=2e-3, weight_decay=0.1, beta2=0.98, warmup_steps=100, schedule="cosine", fused=True
        ),
    ) -> None:
        backbone = TransformerBackbone(group_from(FrameTransformerConfig, net))
        super().__init__(backbone, vocab_size, frame_size, frames, optim)
        self.save_hyperparameters()
