"""Continues pieces of frames: one choice for every slot of a frame.

B rows, S slots of a frame, M frames retrieved, D width.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from seq_modules.generation.decoding_config import NO_BEAMS, NO_DRAFTS, Decoding
from seq_modules.generation.loop import SamplerOutput
from seq_modules.generation.sampling import check_not_nan, sample, uniforms
from seqlight.core.errors import UserError


class FrameNet(Protocol):
    """A net over frames, such as seq_modules.nets.music.frame_net.FrameNet."""

    backbone: Any  # decode_step(x (B, T, D), state) -> (B, T, D) and the state after it; the first state is None
    frame_size: int
    start_id: int
    end_id: int

    def embed(self, frames: Tensor, position: Tensor) -> Tensor:
        """The backbone's inputs (B, T, D) of frames (B, T, S), the first at its ``position`` (B,) of the piece."""
        ...

    def within(self, state: Tensor, before: Tensor, frame: Tensor, **retrieved: Tensor) -> Tensor:
        """Logits (B, S, V) of each slot, from the state (B, D), the frame before and this frame so far, (B, S)."""
        ...


class FrameRetriever(Protocol):
    """Incremental retrieval for one piece; datamodules.music.retrieval has one."""

    def append(self, frame: tuple[int, ...]) -> None:
        """Appends the piece's next frame, MIDI pitches."""
        ...

    def retrieved(self) -> tuple[Any, Any]:
        """Arrays: ids (M, S) of frames that may come next, and how far back the context of each agrees, (M, 2)."""
        ...


class FrameState:
    """What a net over frames has read of every row: from START on, frame by frame.

    Args:
        net: The net.
        num_rows: B.
        device: Where the net is.
    """

    def __init__(self, net: FrameNet, num_rows: int, device: torch.device) -> None:
        self.net, self.position = net, torch.zeros(num_rows, dtype=torch.long, device=device)
        self.cache: Any = None

    def start(self) -> Tensor:
        """Reads START. The backbone's output, (B, D)."""
        return self._read(torch.full((len(self.position), self.net.frame_size), self.net.start_id).to(self.position))

    def append(self, ids: Tensor) -> Tensor:
        """Reads one more frame of each row, (B, S). The backbone's output, (B, D)."""
        self.position = self.position + 1
        return self._read(ids)

    def reorder(self, rows: Tensor) -> None:
        """Not possible: frames are sampled, without beam search."""
        raise UserError("net: the rows of a net over frames cannot be reordered")

    def _read(self, frame: Tensor) -> Tensor:
        x = self.net.embed(frame[:, None], self.position)
        output, self.cache = self.net.backbone.decode_step(x, self.cache)
        return output[:, 0]


class FrameSampler:
    """Chooses a frame of each row, slot by slot; a prompt's frames are taken as they are and draw no numbers.

    Args:
        net: The net.
        prompts: Frames that each row begins with, (·, S), which may be none.
        decoding: How ids are chosen; a row ends ``max_new_tokens`` frames after its prompt.
        sample_ids: Number of each row, which with the seed selects its random numbers.
        retrievers: Retrieval for each row, which :class:`FrameRetriever` describes; None for none.
        decode_frames: Frames (B, S) as pitches, which the retrievers append.
    """

    def __init__(
        self,
        net: FrameNet,
        prompts: Sequence[Tensor],
        decoding: Decoding,
        sample_ids: Sequence[int],
        retrievers: Sequence[FrameRetriever] | None = None,
        decode_frames: Any = None,
    ) -> None:
        decoding.check_unused((*NO_BEAMS, *NO_DRAFTS), "music")
        self.net, self.prompts, self.decoding = net, prompts, decoding
        self.streams = [uniforms(decoding.seed, sample_id) for sample_id in sample_ids]
        self.retrievers, self.decode_frames = retrievers, decode_frames
        self.before = torch.full((len(prompts), net.frame_size), net.start_id).to(prompts[0])
        self.step = 0

    def __call__(self, output: Tensor) -> SamplerOutput[Tensor]:
        """The next frame of each row, (B, S), of the backbone's output (B, D)."""
        given = [self.step < len(prompt) for prompt in self.prompts]
        size, retrieved = self.net.frame_size, self._retrieved()
        numbers = [[0.0] * size if g else list(islice(s, size)) for g, s in zip(given, self.streams, strict=True)]
        drawn = torch.tensor(numbers, dtype=torch.float64).to(output.device)  # (B, S)
        frame = torch.full_like(self.before, self.net.end_id)
        for slot in range(size):
            logits = self.net.within(output, self.before, frame, **retrieved)[:, slot]
            check_not_nan(logits)
            frame[:, slot] = sample(logits, self.decoding, drawn[:, slot])
        for row, prompt in enumerate(self.prompts):
            if given[row]:
                frame[row] = prompt[self.step]
        if self.retrievers:
            for retriever, pitches in zip(self.retrievers, self.decode_frames(frame.cpu().numpy()), strict=True):
                retriever.append(pitches)
        self.before, self.step = frame, self.step + 1
        ended = [self.step >= len(prompt) + self.decoding.max_new_tokens for prompt in self.prompts]
        return SamplerOutput(frame, list(frame), ended)

    def _retrieved(self) -> dict[str, Tensor]:
        """What the retrievers found, (B, M, S) and (B, M, 2); nothing without them."""
        if not self.retrievers:
            return {}
        ids, lengths = zip(*(retriever.retrieved() for retriever in self.retrievers), strict=True)
        device = self.before.device
        stacked = [torch.stack([torch.as_tensor(row, device=device) for row in part]) for part in (ids, lengths)]
        return dict(zip(("retrieved", "lengths"), stacked, strict=True))
