"""Windows of pieces' events with the next event of each as its label; a window never reaches into another piece.

A piece of N events is the sequence START, those events, END, and has N + 1 labels: label j is event j, the last END. A
window at s reads events s-1 ... (START at 0) and is asked for labels s ... s+T-1. T is the window's length, F the
number of fields, B the batch size.

With signatures every window begins with its piece's, wherever in the piece it lies, and has one event less: a model
that were told the metre and the key at the piece's beginning alone would have to do without for most of it. A signature
has no label, so that the same labels count as without.
"""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counters import random_words
from datamodules.tokenizers import MusicTokenizer, RemiTokenizer
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Piece, stretched

VALUES = ((1, 1), (2, 1), (1, 2))  # note values as written, doubled, halved
HIDDEN = 8  # in one of so many windows the key is not told, and in as many the metre


class EventWindows(BatchDataset):
    """Base: the events of all pieces in one table, and batches of windows of it.

    Args:
        pieces: The pieces.
        tokenizer: Makes the events.
        seq_len: Length T of a window.
    """

    def __init__(self, pieces: Sequence[Piece], tokenizer: MusicTokenizer, seq_len: int) -> None:
        fields = len(tokenizer.fields)
        events = [tokenizer.encode(piece) for piece in pieces]
        start, end = np.zeros((2, 1, fields), dtype=np.int64)  # "nothing" beside both
        start[0, 0], end[0, 0] = tokenizer.start_id, tokenizer.end_id
        self.table = np.concatenate([part for piece in events for part in (start, piece, end)])  # (sum of N + 2, F)
        self.notes: np.ndarray | None = None  # how many each row of the table counts as; None: an event is a note
        if isinstance(tokenizer, RemiTokenizer):
            counts = [tokenizer.notes_at(piece, ids) for piece, ids in zip(pieces, events, strict=True)]
            self.notes = np.concatenate([part for count in counts for part in ([0], count, [1])])
        self.heads = np.array([tokenizer.head(piece) for piece in pieces])  # signatures, (pieces, 0 or 1, F)
        self.signatures = tokenizer.signatures
        self.counts = np.array([len(piece) + 1 for piece in events])  # labels of each piece
        self.bases = np.cumsum(self.counts + 1) - (self.counts + 1)  # where each begins in the table
        self.span = seq_len - self.heads.shape[1]  # events of a window, without a signature
        self.pitch_column = tokenizer.pitch_column
        self.first_pitch = tokenizer.pitches.index(tokenizer.lowest)  # other ids are no pitches
        self.last_pitch = tokenizer.pitches.index(tokenizer.highest)

    def _batch(
        self,
        pieces: np.ndarray,
        starts: np.ndarray,
        index: np.ndarray,
        first: np.ndarray,
        semitones: np.ndarray,
        heads: np.ndarray,
    ) -> Batch:
        """Windows of ``pieces`` (B,) from ``starts`` (B,), transposed by ``semitones`` (B,), with ``heads`` (B, 0 or 1,
        F) as they are before them.

        Labels from place ``first`` (B,) on count. After a piece's end inputs are 0 and labels -100; so is the label of
        the fields that say nothing beside END.
        """
        places = np.arange(self.span)
        here = starts[:, None] + places < self.counts[pieces, None]  # (B, T)
        rows = self.bases[pieces, None] + np.minimum(starts[:, None] + places, self.counts[pieces, None] - 1)
        inputs = np.where(here[..., None], self.table[rows], 0)  # (B, T, F)
        labels = self.table[rows + 1]  # (B, T, F)
        for ids in (inputs, labels):
            pitches = ids[..., self.pitch_column]  # a view: (B, T)
            pitches += np.where(self._are_pitches(pitches), semitones[:, None], 0)
        counted = here & (places >= first[:, None])  # (B, T)
        labels[~counted] = IGNORED
        beside = labels[..., 1:]
        beside[beside == 0] = IGNORED
        notes = {} if self.notes is None else {"notes": torch.from_numpy((self.notes[rows + 1] * counted).sum(1))}
        return notes | {
            "input_ids": torch.from_numpy(np.concatenate([heads, inputs], axis=1)),
            "labels": torch.from_numpy(np.concatenate([np.full_like(heads, IGNORED), labels], axis=1)),
            "index": torch.from_numpy(index),
        }

    def _are_pitches(self, ids: np.ndarray) -> np.ndarray:
        return (self.first_pitch <= ids) & (ids <= self.last_pitch)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """A whole batch at once: ``input_ids`` and ``labels`` (B, T, F), ``index`` (B,); of REMI's tokens also
        ``notes`` (B,), how many the labels are about, the end of a piece being one."""
        raise NotImplementedError


class TrainEvents(EventWindows):
    """Windows of which each follows from its number and the seed: piece, place, transposition and note values.

    A piece is drawn as often as its length asks for. The window begins anywhere from half a window before the piece to
    half a window before its end, and is then moved inside: so the notes near both ends are asked for as often, on
    average, as those in the middle. The transposition is drawn from those of the range that leave all of the piece in
    the vocabulary, which was made wide enough for all of them unless MIDI's own range ends; an instrument's range is
    not asked for. Doubled or halved note values are drawn as often as written ones, of the pieces where every time
    stays a whole number of ticks. Of signatures the key is moved with the notes; key and metre are each left untold now
    and then, so that the model also knows what to do where they are not known.

    Args:
        pieces: The pieces.
        tokenizer: Makes the events.
        seq_len: Length T of a window.
        size: Windows in an epoch; by default as many as cover every piece once.
        seed: What the windows depend on.
        transpose: Semitones down (0 or less) and up.
        note_values: Whether to double and halve note values.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        tokenizer: MusicTokenizer,
        seq_len: int,
        size: int | None,
        seed: int,
        transpose: tuple[int, int] = (0, 0),
        note_values: bool = False,
    ) -> None:
        versions = [versions_of(piece, note_values) for piece in pieces]
        super().__init__([version for several in versions for version in several], tokenizer, seq_len)
        self.versions = np.array([len(several) for several in versions])
        self.first_version = np.cumsum(self.versions) - self.versions  # of each piece, among all
        self.ends = np.cumsum(self.counts[self.first_version])  # where each piece's labels end among all pieces'
        self.size = size or int((-(-self.counts[self.first_version] // self.span)).sum())
        self.seed = seed
        columns = np.split(self.table[:, self.pitch_column], self.bases[1:])
        sounding = [column[self._are_pitches(column)] for column in columns]
        self.down = np.array(
            [max(transpose[0], self.first_pitch - ids.min(initial=self.last_pitch)) for ids in sounding]
        )
        self.up = np.array([min(transpose[1], self.last_pitch - ids.max(initial=self.first_pitch)) for ids in sounding])

    def __len__(self) -> int:
        return self.size

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        words = random_words(self.seed, index, 6).T  # (6, B)
        pieces = np.searchsorted(self.ends, _below(words[0], self.ends[-1]), side="right")
        versions = self.first_version[pieces] + _below(words[1], self.versions[pieces])
        counts, half = self.counts[versions], self.span // 2
        starts = _below(words[2], counts - self.span + 2 * half + 1) - half
        starts = np.clip(starts, 0, np.maximum(counts - self.span, 0))
        semitones = self.down[versions] + _below(words[3], self.up[versions] - self.down[versions] + 1)
        heads = self.heads[versions]
        if self.signatures is not None:
            heads = self.signatures.transposed(heads, semitones[:, None])
            heads = self.signatures.hidden(heads, *(words[4:, :, None] % HIDDEN == 0))
        return self._batch(versions, starts, index, np.zeros_like(starts), semitones, heads)


class EvalEvents(EventWindows):
    """Every piece whole, in windows in order, each label exactly once.

    Args:
        pieces: The pieces.
        tokenizer: Makes the events.
        seq_len: Length T of a window.
        stride: Distance between windows of a piece, 1 to S = T, or T - 1 with signatures; by default half of S. Of each
            but a piece's first only the last ``stride`` labels count, so that they have a context of at least
            S - stride events.
    """

    def __init__(
        self, pieces: Sequence[Piece], tokenizer: MusicTokenizer, seq_len: int, stride: int | None = None
    ) -> None:
        super().__init__(pieces, tokenizer, seq_len)
        self.stride = stride or max(1, self.span // 2)
        windows = 1 + -(-np.maximum(0, self.counts - self.span) // self.stride)
        self.pieces = np.repeat(np.arange(len(windows)), windows)
        self.numbers = np.concatenate([np.arange(count) for count in windows])  # of each window within its piece

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """See the base class."""
        index = np.asarray(rows, dtype=np.int64)
        pieces, numbers = self.pieces[index], self.numbers[index]
        first = np.where(numbers == 0, 0, self.span - self.stride)
        starts, heads = numbers * self.stride, self.heads[pieces]
        batch = self._batch(pieces, starts, index, first, np.zeros_like(index), heads)
        longest = heads.shape[1] + int((self.counts[pieces] - starts).max())  # the rest is padding
        return batch | {name: batch[name][:, :longest] for name in ("input_ids", "labels")}


def versions_of(piece: Piece, note_values: bool) -> list[Piece]:
    """The piece as written and, if asked for, in doubled and halved note values where those are whole ticks."""
    found = (stretched(piece, *value) for value in (VALUES if note_values else VALUES[:1]))
    return [version for version in found if version is not None]


def _below(words: np.ndarray, limits: np.ndarray | int) -> np.ndarray:
    """Numbers from 0 up to the limits, which they stay below, of random words (B,)."""
    return (words % np.asarray(limits, dtype=np.uint64)).astype(np.int64)
