"""A net over frames, sets of ids: exact probabilities of the next set, id by id, in rising order.

A frame of S slots holds rising ids below P and, where there are fewer than S, END (id P) behind them. At each slot
only what may follow has a probability: an id greater than the last one, or END. Every set is written in one way alone,
so its probability is the product over its slots, and those of all sets add up to 1 (as in the autoregressive
estimators of Larochelle & Murray 2011, but over what is in the set alone).

B batch, T time, N frames (rows of B and T that count), S slots, P ids, V = P + 2 (END, START), D width, E width
within a frame, M frames retrieved.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.music.frame_backbones import RecurrentBackbone, TransformerBackbone, dropped
from seq_modules.nets.retrieval import CopyHead
from seqlight.core.hyperparameters import check_range

METRE = (4, 16)  # quarters of a bar and of four bars, within which a frame's position is given


@dataclass(frozen=True)
class FrameConfig:
    """The net within a frame, and its retrieval.

    Attributes:
        d_frame: Width of the net within a frame, E.
        input_dropout: Fraction dropped of the embedded frames before, while training.
        frame_dropout: Fraction dropped within a frame, while training.
        retrieval: Whether a copy head reads what followed at earlier positions with the same melody or harmony, in the
            training pieces or in this one. --data.retrieved says how many frames; with 0 this must be false.
        retrieval_dropout: Fraction of the pieces that are trained without retrieval, from 0 to 1.

    Raises:
        UserError: A value is out of its range.
    """

    d_frame: int = 256
    input_dropout: float = 0.2
    frame_dropout: float = 0.3
    retrieval: bool = True
    retrieval_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_range("frames.d_frame", self.d_frame, least=1)
        check_range("frames.input_dropout", self.input_dropout, least=0, below=1)
        check_range("frames.frame_dropout", self.frame_dropout, least=0, below=1)
        check_range("frames.retrieval_dropout", self.retrieval_dropout, least=0, most=1)


class FrameNet(nn.Module):
    """From the frames before, through a backbone over time, to the ids of the next frame.

    Args:
        vocab_size: V, at least 3.
        frame_size: S, at least 1.
        backbone: Maps (B, T, D) to (B, T, D).
        config: The net within a frame, and its retrieval.

    Raises:
        UserError: A size is out of its range.
    """

    def __init__(
        self,
        vocab_size: int,
        frame_size: int,
        backbone: RecurrentBackbone | TransformerBackbone,
        config: FrameConfig = FrameConfig(),
    ) -> None:
        super().__init__()
        check_range("vocab_size", vocab_size, least=3)
        check_range("frame_size", frame_size, least=1)
        d_model = backbone.d_model
        self.num_pitches, self.frame_size = vocab_size - 2, frame_size
        self.end_id, self.start_id = vocab_size - 2, vocab_size - 1
        self.input_dropout = config.input_dropout
        self.voices = nn.Embedding(frame_size * vocab_size, d_model)  # an id in its slot
        self.pitches = nn.Embedding(vocab_size, d_model)  # an id in any
        self.metre = nn.ModuleList(nn.Embedding(quarters, d_model) for quarters in METRE)
        self.time = nn.Linear(1, d_model)
        self.input_norm = nn.LayerNorm(d_model)
        self.backbone = backbone
        self.within = WithinFrame(vocab_size, frame_size, d_model, config)
        for table in (self.voices, self.pitches, *self.metre):
            nn.init.normal_(table.weight, std=0.3)

    def embed(self, frames: Tensor, position: Tensor) -> Tensor:
        """What the backbone reads, (B, T, D).

        Args:
            frames: (B, T, S) ids of frames t - 1.
            position: (B,) number of the frame t = 0 within its piece.
        """
        offsets = torch.arange(self.frame_size, device=frames.device) * (self.num_pitches + 2)
        x = self.voices(frames + offsets).sum(2) + self.pitches(frames).sum(2)  # (B, T, S, D) -> (B, T, D)
        times = position[:, None] + torch.arange(frames.shape[1], device=frames.device)  # (B, T)
        for quarters, table in zip(METRE, self.metre, strict=True):
            x = x + table(times % quarters)
        x = x + self.time(times[..., None].to(x.dtype) / 64)
        return dropped(self.input_norm(x), self.input_dropout, self.training)

    def forward(self, frames: Tensor, position: Tensor) -> Tensor:
        """States before each frame t, (B, T, D), from the frames before; arguments as for :meth:`embed`."""
        return self.backbone(self.embed(frames, position))


class WithinFrame(nn.Module):
    """Logits of a frame's ids, each from the state before the frame and the ids before it.

    Two sums make a logit: a linear one for each id; and one for the distance of an id to the last one, and to the frame
    before's in the same slot, with weights that are the same wherever on the scale. A copy head makes the ids likelier
    that come next in retrieved frames.

    Args:
        vocab_size: V.
        frame_size: S.
        d_model: Width of the state, D.
        config: Width within, E, dropout and retrieval.
    """

    def __init__(self, vocab_size: int, frame_size: int, d_model: int, config: FrameConfig) -> None:
        super().__init__()
        d_frame = config.d_frame
        self.num_pitches, self.frame_size, self.dropout = vocab_size - 2, frame_size, config.frame_dropout
        self.state = nn.Linear(d_model, d_frame)
        self.slot_embedding = nn.Embedding(frame_size, d_frame)
        self.before = nn.Embedding(frame_size * vocab_size, d_frame)  # the frame before, id by slot
        self.given = nn.Embedding(vocab_size, d_frame)  # ids of this frame so far
        self.last = nn.Embedding(vocab_size, d_frame)  # the last of them
        self.same = nn.Embedding(vocab_size, d_frame)  # the frame before's id in this slot
        self.interval_embedding = nn.Embedding(2 * vocab_size, d_frame)  # how far the last one moved
        self.norms = nn.ModuleList(nn.LayerNorm(d_frame) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(d_frame, d_frame) for _ in range(2))
        self.ids = nn.Linear(d_frame, vocab_size - 1)
        self.distances = nn.Linear(d_frame, 2 * 2 * self.num_pitches)
        # Of a retrieved frame: how many ids agree so far, by slot; and the fraction of frames with the same next id.
        agreements = (frame_size + 1) * frame_size
        self.copy = CopyHead(d_frame, [agreements], numbers=1) if config.retrieval else None
        for table in (self.slot_embedding, self.before, self.given, self.last, self.same, self.interval_embedding):
            nn.init.normal_(table.weight, std=0.3)
        nn.init.zeros_(self.distances.weight)
        nn.init.zeros_(self.distances.bias)

    def forward(
        self,
        state: Tensor,
        before: Tensor,
        frame: Tensor,
        retrieved: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Logits (N, S, P + 1) at every slot of a frame, given the ids before it; minus infinity where none may be.

        Args:
            state: (N, D).
            before: (N, S) ids of the frame before.
            frame: (N, S) ids of this one. Those at a slot and after it have no influence on the slot's logits.
            retrieved: (N, M, S) ids of retrieved frames.
            lengths: (N, M, 2) lengths of their matches in melody and in texture; both 0 where nothing is retrieved.
        """
        count, end = len(frame), self.num_pitches
        start = frame.new_full((count, 1), end + 1)
        last = torch.cat((start, frame[:, :-1]), dim=1)  # (N, S): the id before each slot
        given = F.pad(self.given(frame[:, :-1]).cumsum(1), (0, 0, 1, 0))  # (N, S, E)
        slots = torch.arange(self.frame_size, device=frame.device)
        # From 1 on, START and END being taken for numbers; 0 at the first slot, which has no last id.
        moved = F.pad(frame[:, :-1] - before[:, :-1] + end + 2, (1, 0))
        x = self.state(state)[:, None] + self.slot_embedding.weight
        x = x + self.before(before + slots * (end + 2)).sum(1)[:, None]
        x = x + given + self.last(last) + self.same(before) + self.interval_embedding(moved)
        x = self.drop(F.gelu(self.norms[0](x)))
        x = x + self.drop(F.gelu(self.norms[1](self.layers[0](x))))
        x = x + self.layers[1](x)
        logits = self.ids(x) + self.from_distances(x, before, last)
        if self.copy is not None and retrieved is not None and lengths is not None:
            logits = self.with_copies(logits, x, last, frame, retrieved, lengths)
        ids = torch.arange(end + 1, device=frame.device)
        follows = (ids > last[..., None]) | (last[..., None] > end)  # START stands above all, and all may follow it
        return logits.masked_fill(~follows & (ids < end), -math.inf)

    def drop(self, x: Tensor) -> Tensor:
        """Dropout while training."""
        return dropped(x, self.dropout, self.training)

    def from_distances(self, x: Tensor, before: Tensor, last: Tensor) -> Tensor:
        """(N, S, P + 1): by the distance to the frame before's id in this slot, and to the last id; 0 for END."""
        end = self.num_pitches
        weights = self.distances(x).unflatten(-1, (2, 2 * end))  # (N, S, 2·2·P) -> (N, S, 2, 2·P)
        anchors = torch.stack((before, last), dim=-1)[..., None]  # (N, S, 2, 1)
        ids = torch.arange(end, device=x.device)
        columns = (ids - anchors + end).clamp(0, 2 * end - 1)  # (N, S, 2, P)
        found = weights.gather(-1, columns) * (anchors < end)
        return F.pad(found.sum(2), (0, 1))

    def with_copies(
        self, logits: Tensor, x: Tensor, last: Tensor, frame: Tensor, retrieved: Tensor, lengths: Tensor
    ) -> Tensor:
        """Logits with what the copy head adds, (N, S, P + 1).

        Args:
            logits: (N, S, P + 1).
            x: (N, S, E) outputs at each slot.
            last: (N, S) the id before each slot.
            frame: (N, S) ids of the frame.
            retrieved: (N, M, S) ids.
            lengths: (N, M, 2).
        """
        assert self.copy is not None
        size, end = frame.shape[1], self.num_pitches
        others = retrieved[:, None]  # (N, 1, M, S)
        passed = torch.where(last > end, -1, last)[:, :, None, None]
        following = torch.where(others > passed, others, end).amin(-1)  # (N, S, M): the smallest id behind the last
        there = (frame[:, :, None, None] == others).any(-1) & (frame < end)[:, :, None]  # (N, S, M)
        agreed = F.pad(there.long().cumsum(1)[:, :-1], (0, 0, 1, 0))
        real = (lengths.sum(-1) > 0)[:, None]  # (N, 1, M)
        same = (following[..., None] == following[..., None, :]) & real[..., None, :]  # (N, S, M, M)
        votes = same.sum(-1, keepdim=True) / retrieved.shape[1]
        slot = torch.arange(size, device=x.device)[:, None] * (size + 1)
        return self.copy(logits, x, following, lengths[:, None], [agreed + slot], votes)
