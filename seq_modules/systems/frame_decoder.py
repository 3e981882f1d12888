"""Chorales frame by frame: the exact probability of the set of pitches on each quarter, from all frames before."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.base import Step
from seq_modules.generation.decode import evaluating
from seq_modules.generation.sampling import Decoding, choose, uniforms
from seq_modules.nets.music.frame_backbones import RecurrentBody, TransformerBody
from seq_modules.nets.music.frame_net import FrameNet
from seq_modules.systems.tokenized import TokenizedModule
from seq_modules.training.frame_metrics import ExactFrames, FrameAccuracy, NatsPerFrame, Part
from seq_modules.training.metrics import MeanLoss
from seqlight.core.errors import UserError
from seqlight.core.labels import IGNORED
from seqlight.music.frame_notes import held_notes


class Listener(Protocol):
    """Who is reminded of other pieces while one is made; datamodules.music.recall has one."""

    def hear(self, frame: tuple[int, ...]) -> None:
        """Takes the next frame, MIDI pitches."""

    def recalled(self) -> tuple[Any, Any]:
        """Arrays: ids (M, S) of frames that may come next, and how far back each agrees, (M, 2)."""


class FrameDecoder(TokenizedModule):
    """Base of the models of frames: likelihood, metrics and sampling with a body that a subclass chooses.

    Batches have ``input_ids`` and ``labels`` (B, T, S), ``position`` (B,), and where the data recall something
    ``recalled`` (B, T, M, S) and ``runs`` (B, T, M, 2); see datamodules/music/chorale_frames.py.

    Args:
        body: The net over time.
        vocab_size: Pitches, END and START.
        frame_size: Pitches of a frame at most.
        d_model: Width over time.
        d_frame: Width within a frame.
        input_dropout: Share of the body's inputs dropped while training.
        frame_dropout: Share dropped within a frame while training.
        recall: Whether to point at recalled frames.
        recall_dropout: Share of the pieces that are trained without recall.
        training: The arguments of SequenceModule, from ``learning_rate`` on.
    """

    fused_adamw = True
    tokenizer_flags = "--data.lowest, --data.highest, --data.frame_size and --data.order"

    def __init__(
        self,
        body: RecurrentBody | TransformerBody,
        vocab_size: int,
        frame_size: int,
        d_model: int,
        d_frame: int,
        input_dropout: float,
        frame_dropout: float,
        recall: bool,
        recall_dropout: float,
        **training: Any,
    ) -> None:
        super().__init__({"nats_per_frame": MeanLoss()}, **training)
        if not 0 <= recall_dropout <= 1:
            raise UserError(f"recall_dropout must be from 0 to 1, not {recall_dropout}")
        self.recall_dropout = recall_dropout
        for metrics in (self.val_metrics, self.test_metrics):
            metrics.add_metrics({"frame_accuracy": FrameAccuracy(), "exact_frames": ExactFrames()})
        parts: tuple[Part, ...] = ("clean", "leaked")
        for part in parts:
            self.test_metrics.add_metrics({f"{part}_nats_per_frame": NatsPerFrame(part)})
        self.decoding = Decoding()  # the command line's --decoding
        self.net = FrameNet(
            vocab_size,
            frame_size,
            body,
            d_model=d_model,
            d_frame=d_frame,
            input_dropout=input_dropout,
            frame_dropout=frame_dropout,
            recall=recall,
        )

    def setup(self, stage: str) -> None:
        """Takes the tokenizer of the data.

        Raises:
            ValueError: In training, the net points at recalled frames and the data recall none: its weights for that
                would get no gradient. A trained net may well be tested without.
        """
        super().setup(stage)
        recalled = getattr(getattr(self.trainer, "datamodule", None), "recalled", None)
        if stage == "fit" and recalled == 0 and self.net.within.pointer is not None:
            raise UserError(
                "model.recall is true, but --data.recalled 0 gives it nothing to recall; add --model.recall false, or "
                "leave out --data.recalled 0"
            )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Nats of each frame of a batch, (N,), in the order of its rows, padding left out."""
        return self._places(batch)[0].sum(1)

    def _places(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Nats at each place (N, S), 0 behind END; and what :meth:`predicted` needs of the frames."""
        labels = batch["labels"]
        real = labels[:, :, 0] != IGNORED  # (B, T): a frame has at least END
        known = self.net(batch["input_ids"], batch["position"])[real]  # (B, T, D) -> (N, D)
        given = {"known": known, "before": batch["input_ids"][real]}
        if "recalled" in batch:
            runs = batch["runs"]
            if self.training and self.recall_dropout:
                kept = torch.rand(len(runs), device=runs.device) >= self.recall_dropout
                runs = runs * kept[:, None, None, None]
            given |= {"recalled": batch["recalled"][real], "runs": runs[real]}
        labels = labels[real]
        frame = labels.masked_fill(labels == IGNORED, self.net.end_id)
        logits = self.net.within(frame=frame, **given)  # (N, S, P + 1)
        nats = F.cross_entropy(logits.mT.float(), labels, ignore_index=IGNORED, reduction="none")
        return nats, {**given, "frame": frame}

    def predicted(self, known: Tensor, before: Tensor, **recalled: Tensor) -> Tensor:
        """The likeliest id at each place, after the likeliest before it: (N, S) from known (N, D), before (N, S)."""
        frame = torch.full_like(before, self.net.end_id)
        for place in range(self.net.frame_size):
            frame[:, place] = self.net.within(known, before, frame, **recalled)[:, place].argmax(-1)
        return frame

    def step(self, batch: dict[str, Tensor]) -> Step:
        """Negative log-likelihood in nats, summed; an item is a frame."""
        nats, given = self._places(batch)
        measured: dict[str, Tensor] = {}
        if not self.training:
            frame = given.pop("frame")
            leaked = batch.get("leaked", torch.zeros(len(batch["labels"]), dtype=torch.bool, device=nats.device))
            per_frame = leaked[:, None].expand(batch["labels"].shape[:2])[batch["labels"][:, :, 0] != IGNORED]
            end = torch.tensor(self.net.end_id, device=nats.device)
            measured = {"nats": nats.sum(1), "leaked": per_frame, "frame": frame, "end": end}
            measured["predicted"] = self.predicted(**given)
        return Step(nats.sum(), torch.tensor(len(nats), device=nats.device), measured)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        decoding: Decoding | None = None,
        prompts: Sequence[Tensor] | None = None,
        rows: Sequence[int] | None = None,
        listeners: Sequence[Listener] | None = None,
    ) -> list[Tensor]:
        """New frames, each drawn id by id; what is drawn for a row depends on the seed and its number alone.

        Args:
            count: How many pieces.
            decoding: How to choose; ``max_new_tokens`` frames each. By default as ``self.decoding`` says.
            prompts: Ids (·, S) of the frames each begins with, none of them by default.
            rows: Number of each for the drawing; by default 0, 1, 2 ...
            listeners: Who recalls other pieces meanwhile; by default nobody does. Needs ``self.tokenizer``.

        Returns:
            The new frames' ids, (max_new_tokens, S) for each piece.

        Raises:
            ValueError: ``decoding`` has a repetition penalty, which sets do not know.
        """
        decoding = decoding or self.decoding
        if decoding.repetition_penalty != 1:
            raise UserError(f"repetition_penalty {decoding.repetition_penalty} is not for frames; leave it at 1")
        size = self.net.frame_size
        none = torch.zeros(0, size, dtype=torch.long, device=self.device)
        pieces = [prompt.to(self.device) for prompt in prompts] if prompts is not None else [none] * count
        draws = [uniforms(decoding.seed, row) for row in (range(count) if rows is None else rows)]
        lengths = [len(piece) + decoding.max_new_tokens for piece in pieces]
        before = torch.full((count, size), self.net.start_id, device=self.device)
        written: list[Tensor] = []
        state: Any = None
        with evaluating(self):
            for at in range(max(lengths)):
                x = self.net.embed(before[:, None], torch.full((count,), at, device=self.device))
                known, state = self.net.body.decode_step(x, state)
                drawn = [
                    list(islice(draw, size)) if at >= len(piece) else [0.0] * size  # a given frame draws nothing
                    for draw, piece in zip(draws, pieces, strict=True)
                ]
                frame = self._chosen(known[:, 0], before, decoding, drawn, listeners)
                for row, piece in enumerate(pieces):
                    if at < len(piece):
                        frame[row] = piece[at]
                if listeners:
                    heard = self.required_tokenizer().decode(frame.cpu().numpy())
                    for listener, pitches in zip(listeners, heard, strict=True):
                        listener.hear(pitches)
                written.append(frame)
                before = frame
        whole = torch.stack(written, dim=1)  # (count, T, S)
        return [row[len(piece) : end] for row, piece, end in zip(whole, pieces, lengths, strict=True)]

    def _chosen(
        self,
        known: Tensor,
        before: Tensor,
        decoding: Decoding,
        numbers: list[list[float]],
        listeners: Sequence[Listener] | None,
    ) -> Tensor:
        """The next frame of each row, (B, S), by one number in [0, 1) for each place."""
        recalled: dict[str, Tensor] = {}
        if listeners:
            found = [listener.recalled() for listener in listeners]
            for name, part in (("recalled", 0), ("runs", 1)):
                recalled[name] = torch.stack([torch.as_tensor(f[part], device=self.device) for f in found])
        drawn = torch.tensor(numbers, dtype=torch.float64).to(self.device)
        frame = torch.full_like(before, self.net.end_id)
        for place in range(self.net.frame_size):
            logits = self.net.within(known, before, frame, **recalled)[:, place]
            frame[:, place] = choose(logits, decoding, drawn[:, place])
        return frame

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[dict[str, Any]]:
        """One row a piece: its frames, and its notes after those of the beginning that was given."""
        tokenizer = self.required_tokenizer()
        prompts, indices = batch["prompt_ids"], batch["index"].tolist()
        new = self.sample(len(prompts), None, prompts, indices, batch.get("listeners"))
        found = []
        for index, name, prompt, ids in zip(indices, batch["prompts"], prompts, new, strict=True):
            given, frames = tokenizer.decode(prompt.cpu().numpy()), tokenizer.decode(ids.cpu().numpy())
            found.append(
                {
                    "index": index,
                    "prompt": name,
                    "prompt_notes": held_notes(given),
                    "notes": held_notes(frames, len(given)),
                    "frames": [list(frame) for frame in frames],
                }
            )
        return found
