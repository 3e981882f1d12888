"""Rows of chorales in frames: transposed rows for training, whole pieces for evaluation, prompts for predict.

B rows, T frames, S pitches of a frame at most, M retrieved frames.
"""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counter_rng import random_uint64
from datamodules.music.retrieval import RetrievalIndex, Retriever, moved_by
from datamodules.music.sources.jsb_files import Chorale
from datamodules.tokenizers.music.frame import FrameTokenizer
from seqlight.core.errors import UserError
from seqlight.core.labels import IGNORED


class ChoraleRows(BatchDataset):
    """Base: batches of chorales, or parts of them, padded on the right.

    Args:
        chorales: The pieces.
        tokenizer: Makes the ids.
        index: The pieces to retrieve from; None for no retrieval.
        in_index: Whether the pieces are those of the index. Each of these retrieves only its own past from itself.

    Raises:
        UserError: A frame does not fit the tokenizer; the text names the piece.
    """

    def __init__(
        self, chorales: Sequence[Chorale], tokenizer: FrameTokenizer, index: RetrievalIndex | None, in_index: bool
    ) -> None:
        self.tokenizer = tokenizer
        self.names = [chorale.name for chorale in chorales]
        self.ids: list[np.ndarray] = []
        for chorale in chorales:
            try:
                self.ids.append(tokenizer.encode(chorale.frames))
            except ValueError as error:
                raise UserError(f"{error} (the piece is {chorale.name})") from error
        self.retrieved = [
            index.retrieve_all(chorale, number if in_index else None)
            for number, chorale in enumerate(chorales)
            if index is not None
        ]

    def __len__(self) -> int:
        return len(self.ids)

    def _batch(self, rows: list[tuple[int, int]], starts: np.ndarray, lengths: np.ndarray, index: np.ndarray) -> Batch:
        """Frames from ``starts`` (B,) on, ``lengths`` (B,) of them, of pieces by number and transposition upward."""
        tokenizer, shape = self.tokenizer, (len(rows), int(lengths.max()), self.tokenizer.frame_size)
        batch = {"input_ids": np.full(shape, tokenizer.end_id), "labels": np.full(shape, IGNORED)}
        if self.retrieved:
            many = self.retrieved[0][0].shape[1]
            batch["retrieved"] = np.full((*shape[:2], many, shape[2]), tokenizer.end_id)
            batch["match_lengths"] = np.zeros((*shape[:2], many, 2), dtype=np.int64)
        for row, ((number, up), start, length) in enumerate(zip(rows, starts.tolist(), lengths.tolist(), strict=True)):
            piece, _ = moved_by(self.ids[number], up, tokenizer)
            before = np.full((1, shape[2]), tokenizer.start_id) if start == 0 else piece[start - 1 : start]
            batch["input_ids"][row, :length] = np.concatenate((before, piece[start : start + length - 1]))
            labels = piece[start : start + length].copy()
            labels[np.cumsum(labels == tokenizer.end_id, axis=1) > 1] = IGNORED  # a frame's first END alone counts
            batch["labels"][row, :length] = labels
            if self.retrieved:
                ids, lengths_of = (part[start : start + length] for part in self.retrieved[number])
                moved, fits = moved_by(ids, up, tokenizer)
                batch["retrieved"][row, :length] = np.where(fits[..., None], moved, tokenizer.end_id)
                batch["match_lengths"][row, :length] = lengths_of * fits[..., None]
        batch |= {"position": starts, "index": index}
        return {name: torch.from_numpy(value) for name, value in batch.items()}

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """A batch: ``input_ids`` and ``labels`` (B, T, S); ``position`` and ``index`` (B,).

        The input at step t is frame t - 1, or all START at the first frame of a piece. The label is frame t: its
        pitches, then END if there is room. ``position`` is the number of the piece's frames before the row. With an
        index also ``retrieved`` (B, T, M, S) and ``match_lengths`` (B, T, M, 2): candidates for frame t, and how far
        back their contexts agree; see datamodules/music/retrieval.py.
        """
        raise NotImplementedError


class ChoraleTrainRows(ChoraleRows):
    """Training rows. Each pass has every piece once, in an order of its own; row numbers are unbounded.

    The piece of a row, its start and its transposition depend only on the row's number and the seed.

    Args:
        chorales: The pieces.
        tokenizer: Makes the ids.
        index: The pieces to retrieve from; None for no retrieval.
        seq_len: Most frames of a row; a longer piece is cut at a random start. None: whole pieces.
        transpose: The lowest and the highest transposition in semitones, both included. Those that keep a piece within
            the tokenizer's range are equally likely.
        seed: Seed of the rows.
    """

    def __init__(
        self,
        chorales: Sequence[Chorale],
        tokenizer: FrameTokenizer,
        index: RetrievalIndex | None,
        seq_len: int | None,
        transpose: tuple[int, int],
        seed: int,
    ) -> None:
        super().__init__(chorales, tokenizer, index, in_index=True)
        self.seq_len, self.seed = seq_len, seed
        ups = range(transpose[0], transpose[1] + 1)
        self.ups = [[up for up in ups if moved_by(ids, up, tokenizer)[1].all()] or [0] for ids in self.ids]
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        words = random_uint64(self.seed, index, 2)
        passes, offsets = np.divmod(index, len(self.ids))
        numbers = [int(self._order(int(n))[offset]) for n, offset in zip(passes, offsets, strict=True)]
        picked = [
            (number, self.ups[number][int(word) % len(self.ups[number])])
            for number, word in zip(numbers, words[:, 0], strict=True)
        ]
        whole = np.array([len(self.ids[number]) for number in numbers])
        lengths = whole if self.seq_len is None else np.minimum(whole, self.seq_len)
        starts = (words[:, 1] % (whole - lengths + 1).astype(np.uint64)).astype(np.int64)
        return self._batch(picked, starts, lengths, index)

    def _order(self, number: int) -> np.ndarray:
        """The pieces in the order of a pass (N,)."""
        key = (self.seed, number)
        if key not in self._orders:
            while len(self._orders) >= 2:  # a batch may span two passes
                self._orders.pop(next(iter(self._orders)))
            # Another seed than that of the rows, since row numbers and pass numbers overlap.
            words = random_uint64(self.seed + 2**41, np.array([number]), len(self.ids))[0]
            self._orders[key] = np.argsort(words, kind="stable")
        return self._orders[key]


class ChoraleEvalRows(ChoraleRows):
    """Whole pieces without transposition, each once. ``leaked`` (B,) says whether training had the piece's melody.

    Args:
        chorales: The pieces.
        tokenizer: Makes the ids.
        index: The pieces to retrieve from; None for no retrieval.
        flags: For each piece, whether it is leaked.
    """

    def __init__(
        self, chorales: Sequence[Chorale], tokenizer: FrameTokenizer, index: RetrievalIndex | None, flags: list[bool]
    ) -> None:
        super().__init__(chorales, tokenizer, index, in_index=False)
        self.flags = torch.tensor(flags)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        lengths = np.array([len(self.ids[row]) for row in rows])
        batch = self._batch([(row, 0) for row in rows], np.zeros_like(lengths), lengths, index)
        return batch | {"leaked": self.flags[torch.from_numpy(index)]}


class ChoralePrompts(BatchDataset):
    """Prompts for ``predict``: the first frames of pieces, or empty prompts.

    Args:
        chorales: The pieces, in rotation; with none, prompts are empty.
        size: Number of rows.
        frames: Frames of each prompt.
        tokenizer: Makes the ids.
        index: The pieces to retrieve from; None for no retrieval.
    """

    def __init__(
        self,
        chorales: Sequence[Chorale],
        size: int,
        frames: int,
        tokenizer: FrameTokenizer,
        index: RetrievalIndex | None,
    ) -> None:
        self.chorales, self.size, self.frames = list(chorales) or [Chorale("", ())], size, frames
        self.tokenizer, self.index = tokenizer, index

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """``prompts``, B names; ``prompt_ids``, B of (·, S); ``index`` (B,); with an index B ``retrievers``."""
        taken = [self.chorales[row % len(self.chorales)] for row in rows]
        batch: Batch = {
            "prompts": [chorale.name for chorale in taken],
            "prompt_ids": [torch.from_numpy(self.tokenizer.encode(c.frames[: self.frames])) for c in taken],
            "index": torch.tensor(list(rows)),
        }
        if self.index is not None:
            batch["retrievers"] = [Retriever(self.index) for _ in rows]
        return batch
