"""A net over frames, sets of ids: exact probabilities of the next set, id by id, in rising order.

A frame of S places holds rising ids below P and, where there are fewer than S, END (id P) behind them. At each place
only what may follow has a probability: an id greater than the last one, or END. Every set is written in one way alone,
so its probability is the product over its places, and those of all sets add up to 1 (as in the autoregressive
estimators of Larochelle & Murray 2011, but over what is in the set alone).

B batch, T time, N frames (rows of B and T that count), S places, P ids, V = P + 2 (END, START), D width, E width
within a frame, M frames recalled.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seq_modules.nets.music.frame_backbones import RecurrentBody, TransformerBody, dropped
from seqlight.core.errors import UserError

RUNS = 32  # counted lengths of runs, 0 to 31
METRE = (4, 16)  # quarters that the place within is told of: a bar, and four of them


class FrameNet(nn.Module):
    """Frames before, through a body over time, to the ids of the next frame.

    Args:
        vocab_size: V.
        frame_size: S.
        body: Maps (B, T, D) to (B, T, D).
        d_model: D.
        d_frame: Width within a frame, E.
        input_dropout: Share of the body's inputs dropped while training.
        frame_dropout: Share dropped within a frame while training.
        recall: Whether frames that the data recall may be pointed at.

    Raises:
        ValueError: If a size is below 1, or V below 3.
    """

    def __init__(
        self,
        vocab_size: int,
        frame_size: int,
        body: RecurrentBody | TransformerBody,
        *,
        d_model: int,
        d_frame: int,
        input_dropout: float,
        frame_dropout: float,
        recall: bool,
    ) -> None:
        super().__init__()
        for name, size, least in (
            ("vocab_size", vocab_size, 3),
            ("frame_size", frame_size, 1),
            ("d_model", d_model, 1),
            ("d_frame", d_frame, 1),
        ):
            if size < least:
                raise UserError(f"{name} must be at least {least}, not {size}")
        for name, share in (("input_dropout", input_dropout), ("frame_dropout", frame_dropout)):
            if not 0 <= share < 1:
                raise UserError(f"{name} must be at least 0 and below 1, not {share}")
        self.num_pitches, self.frame_size = vocab_size - 2, frame_size
        self.end_id, self.start_id = vocab_size - 2, vocab_size - 1
        self.input_dropout = input_dropout
        self.voices = nn.Embedding(frame_size * vocab_size, d_model)  # an id in its place
        self.pitches = nn.Embedding(vocab_size, d_model)  # an id in any
        self.metre = nn.ModuleList(nn.Embedding(quarters, d_model) for quarters in METRE)
        self.time = nn.Linear(1, d_model)
        self.input_norm = nn.LayerNorm(d_model)
        self.body = body
        self.within = WithinFrame(vocab_size, frame_size, d_model, d_frame, frame_dropout, recall)
        for table in (self.voices, self.pitches, *self.metre):
            nn.init.normal_(table.weight, std=0.3)

    def embed(self, frames: Tensor, position: Tensor) -> Tensor:
        """What the body reads, (B, T, D).

        Args:
            frames: (B, T, S) ids of frames t - 1.
            position: (B,) number of the frame t = 0 within its piece.
        """
        at = torch.arange(self.frame_size, device=frames.device) * (self.num_pitches + 2)
        x = self.voices(frames + at).sum(2) + self.pitches(frames).sum(2)  # (B, T, S, D) -> (B, T, D)
        times = position[:, None] + torch.arange(frames.shape[1], device=frames.device)  # (B, T)
        for quarters, table in zip(METRE, self.metre, strict=True):
            x = x + table(times % quarters)
        x = x + self.time(times[..., None].to(x.dtype) / 64)
        return dropped(self.input_norm(x), self.input_dropout, self.training)

    def forward(self, frames: Tensor, position: Tensor) -> Tensor:
        """What is known before each frame t, (B, T, D), from the frames before; arguments as for :meth:`embed`."""
        return self.body(self.embed(frames, position))


class WithinFrame(nn.Module):
    """Logits of a frame's ids, each from what is known before the frame and the ids before it.

    Three sums make a logit: a linear one for each id; one for the distance of an id to the last one, and to the frame
    before's in the same place, with weights that are the same wherever on the scale; and a score for each recalled
    frame whose next id it is.

    Args:
        vocab_size: V.
        frame_size: S.
        d_model: Width of what is known, D.
        d_frame: Width within, E.
        dropout: Share dropped while training.
        recall: Whether to point at recalled frames.
    """

    def __init__(
        self, vocab_size: int, frame_size: int, d_model: int, d_frame: int, dropout: float, recall: bool
    ) -> None:
        super().__init__()
        self.num_pitches, self.frame_size, self.dropout = vocab_size - 2, frame_size, dropout
        self.known = nn.Linear(d_model, d_frame)
        self.place = nn.Embedding(frame_size, d_frame)
        self.before = nn.Embedding(frame_size * vocab_size, d_frame)  # the frame before, id by place
        self.given = nn.Embedding(vocab_size, d_frame)  # ids of this frame so far
        self.last = nn.Embedding(vocab_size, d_frame)  # the last of them
        self.same = nn.Embedding(vocab_size, d_frame)  # the frame before's id in this place
        self.step = nn.Embedding(2 * vocab_size, d_frame)  # how far the last one moved
        self.norms = nn.ModuleList(nn.LayerNorm(d_frame) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(d_frame, d_frame) for _ in range(2))
        self.ids = nn.Linear(d_frame, vocab_size - 1)
        self.distances = nn.Linear(d_frame, 2 * 2 * self.num_pitches)
        self.pointer = Pointer(frame_size, d_frame) if recall else None
        for table in (self.place, self.before, self.given, self.last, self.same, self.step):
            nn.init.normal_(table.weight, std=0.3)
        nn.init.zeros_(self.distances.weight)
        nn.init.zeros_(self.distances.bias)

    def forward(
        self,
        known: Tensor,
        before: Tensor,
        frame: Tensor,
        recalled: Tensor | None = None,
        runs: Tensor | None = None,
    ) -> Tensor:
        """Logits (N, S, P + 1) at every place of a frame, given the ids before it; minus infinity where none may be.

        Args:
            known: (N, D).
            before: (N, S) ids of the frame before.
            frame: (N, S) ids of this one. Those at a place and after it have no influence on the place's logits.
            recalled: (N, M, S) ids of recalled frames.
            runs: (N, M, 2) how far back those agree.
        """
        count, end = len(frame), self.num_pitches
        start = frame.new_full((count, 1), end + 1)
        last = torch.cat((start, frame[:, :-1]), dim=1)  # (N, S): the id before each place
        given = F.pad(self.given(frame[:, :-1]).cumsum(1), (0, 0, 1, 0))  # (N, S, E)
        at = torch.arange(self.frame_size, device=frame.device)
        # From 1 on, START and END being taken for numbers; 0 at the first place, which has no last id.
        moved = F.pad(frame[:, :-1] - before[:, :-1] + end + 2, (1, 0))
        x = self.known(known)[:, None] + self.place.weight + self.before(before + at * (end + 2)).sum(1)[:, None]
        x = x + given + self.last(last) + self.same(before) + self.step(moved)
        x = self.drop(F.gelu(self.norms[0](x)))
        x = x + self.drop(F.gelu(self.norms[1](self.layers[0](x))))
        x = x + self.layers[1](x)
        logits = self.ids(x) + self.from_distances(x, before, last)
        if self.pointer is not None and recalled is not None and runs is not None:
            logits = logits + self.pointer(x, last, frame, recalled, runs, end)
        ids = torch.arange(end + 1, device=frame.device)
        follows = (ids > last[..., None]) | (last[..., None] > end)  # START stands above all, and all may follow it
        return logits.masked_fill(~follows & (ids < end), -math.inf)

    def drop(self, x: Tensor) -> Tensor:
        """Dropout while training."""
        return dropped(x, self.dropout, self.training)

    def from_distances(self, x: Tensor, before: Tensor, last: Tensor) -> Tensor:
        """(N, S, P + 1): by the distance to the frame before's id in this place, and to the last id; 0 for END."""
        end = self.num_pitches
        weights = self.distances(x).unflatten(-1, (2, 2 * end))  # (N, S, 2·2·P) -> (N, S, 2, 2·P)
        anchors = torch.stack((before, last), dim=-1)[..., None]  # (N, S, 2, 1)
        ids = torch.arange(end, device=x.device)
        at = (ids - anchors + end).clamp(0, 2 * end - 1)  # (N, S, 2, P)
        found = weights.gather(-1, at) * (anchors < end)
        return F.pad(found.sum(2), (0, 1))


class Pointer(nn.Module):
    """How much the next id of each recalled frame is to be trusted.

    Args:
        frame_size: S.
        d_frame: Width of what is known at a place, E.
    """

    WIDTH = 32

    def __init__(self, frame_size: int, d_frame: int) -> None:
        super().__init__()
        self.runs = nn.ModuleList(nn.Embedding(RUNS, self.WIDTH) for _ in range(2))
        self.agreed = nn.Embedding((frame_size + 1) * frame_size, self.WIDTH)  # ids that agree so far, by place
        self.votes = nn.Linear(1, self.WIDTH)  # share of the recalled frames with the same next id
        self.known = nn.Linear(d_frame, self.WIDTH)
        self.score = nn.Sequential(nn.GELU(), nn.Linear(self.WIDTH, self.WIDTH), nn.GELU(), nn.Linear(self.WIDTH, 1))

    def forward(self, x: Tensor, last: Tensor, frame: Tensor, recalled: Tensor, runs: Tensor, end: int) -> Tensor:
        """What is added to the logits, (N, S, P + 1).

        Args:
            x: (N, S, E) what is known at each place.
            last: (N, S) the id before each place.
            frame: (N, S) ids of the frame.
            recalled: (N, M, S) ids.
            runs: (N, M, 2), both 0 where nothing is recalled.
            end: END.
        """
        size = frame.shape[1]
        others = recalled[:, None]  # (N, 1, M, S)
        passed = torch.where(last > end, -1, last)[:, :, None, None]
        following = torch.where(others > passed, others, end).amin(-1)  # (N, S, M): the smallest id behind the last
        there = (frame[:, :, None, None] == others).any(-1) & (frame < end)[:, :, None]  # (N, S, M)
        agreed = F.pad(there.long().cumsum(1)[:, :-1], (0, 0, 1, 0))
        real = (runs.sum(-1) > 0)[:, None]  # (N, 1, M)
        same = (following[..., None] == following[..., None, :]) & real[..., None, :]  # (N, S, M, M)
        votes = same.sum(-1, keepdim=True) / recalled.shape[1]
        place = torch.arange(size, device=x.device)[:, None] * (size + 1)
        sums = self.runs[0](runs[..., 0]) + self.runs[1](runs[..., 1])  # (N, M, W)
        z = sums[:, None] + self.agreed(agreed + place) + self.votes(votes.to(x.dtype)) + self.known(x)[:, :, None]
        scores = self.score(z).squeeze(-1) * real  # (N, S, M)
        return x.new_zeros(*following.shape[:2], end + 1).scatter_add(-1, following, scores.to(x.dtype))
