"""Windows of events with the next event of each as its label. A window lies within one piece.

A piece of N events is the sequence START, those events, END. It has N + 1 labels: label j is event j, and the last is
END. The inputs of a window at s are the events from s - 1 on (START at 0). Its labels are s to s + T - 1. T is the
window's length, F the number of fields, B the batch size.

With signatures, the first event of every window is a signature, the piece's key and the metre at the window's start,
and the window has one event fewer. A signature has no label, so the same labels count with and without it.
"""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.loading.batch_dataset import Batch, BatchDataset
from datamodules.loading.counter_rng import random_uint64
from datamodules.tokenizers import MusicTokenizer, NoteTokenizer, RemiTokenizer
from seqlight.core.labels import IGNORED
from seqlight.music.notes import Piece, stretched

VALUES = ((1, 1), (2, 1), (1, 2))  # note values as written, doubled, halved
MASK_ONE_IN = 8  # the key is masked in one of this many training windows, and the metre likewise


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
        self.notes: np.ndarray | None = None  # notes that each row of the table counts as; None: one each
        if isinstance(tokenizer, RemiTokenizer):
            counts = [tokenizer.notes_at(piece, ids) for piece, ids in zip(pieces, events, strict=True)]
            self.notes = np.concatenate([part for count in counts for part in ([0], count, [1])])
        self.prefixes = np.array([tokenizer.signature_events(piece) for piece in pieces])  # (pieces, 0 or 1, F)
        self.signatures = tokenizer.signatures
        self.metres: np.ndarray | None = None  # id of the metre at each row of the table
        if isinstance(tokenizer, NoteTokenizer) and tokenizer.signatures is not None:
            ids = [tokenizer.metre_ids(piece, part) for piece, part in zip(pieces, events, strict=True)]
            begins = [tokenizer.signatures.metre_id(piece.time_signature) for piece in pieces]
            parts = zip(begins, ids, strict=True)
            self.metres = np.concatenate([part for first, found in parts for part in ([first], found, [first])])
        self.counts = np.array([len(piece) + 1 for piece in events])  # labels of each piece
        self.bases = np.cumsum(self.counts + 1) - (self.counts + 1)  # where each begins in the table
        self.span = seq_len - self.prefixes.shape[1]  # events of a window, without a signature
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
        prefixes: np.ndarray,
    ) -> Batch:
        """Windows of ``pieces`` (B,) from ``starts`` (B,), transposed by ``semitones`` (B,).

        ``prefixes`` (B, 0 or 1, F) are put before them unchanged. Labels from position ``first`` (B,) on count; those
        before are -100. After a piece's end, inputs are 0 and labels -100. Beside END, the labels of the other fields
        are -100.
        """
        steps = np.arange(self.span)
        here = starts[:, None] + steps < self.counts[pieces, None]  # (B, T)
        rows = self.bases[pieces, None] + np.minimum(starts[:, None] + steps, self.counts[pieces, None] - 1)
        inputs = np.where(here[..., None], self.table[rows], 0)  # (B, T, F)
        labels = self.table[rows + 1]  # (B, T, F)
        for ids in (inputs, labels):
            pitches = ids[..., self.pitch_column]  # a view: (B, T)
            pitches += np.where(self._are_pitches(pitches), semitones[:, None], 0)
        counted = here & (steps >= first[:, None])  # (B, T)
        labels[~counted] = IGNORED
        beside = labels[..., 1:]
        beside[beside == 0] = IGNORED
        notes = {} if self.notes is None else {"notes": torch.from_numpy((self.notes[rows + 1] * counted).sum(1))}
        return notes | {
            "input_ids": torch.from_numpy(np.concatenate([prefixes, inputs], axis=1)),
            "labels": torch.from_numpy(np.concatenate([np.full_like(prefixes, IGNORED), labels], axis=1)),
            "index": torch.from_numpy(index),
        }

    def _prefixes(self, pieces: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """The signatures (B, 0 or 1, F) of windows of ``pieces`` (B,), with the metres at their ``starts`` (B,)."""
        prefixes = self.prefixes[pieces]
        if self.signatures is not None and self.metres is not None:
            prefixes[:, 0, self.signatures.metre_column] = self.metres[self.bases[pieces] + starts]
        return prefixes

    def _are_pitches(self, ids: np.ndarray) -> np.ndarray:
        return (self.first_pitch <= ids) & (ids <= self.last_pitch)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """A whole batch: ``input_ids`` and ``labels`` (B, T, F), ``index`` (B,).

        With REMI tokens also ``notes`` (B,), the number of notes that the labels spell; the end of a piece counts as
        one.
        """
        raise NotImplementedError


class TrainEvents(EventWindows):
    """Random windows. A window's piece, start, transposition and note values follow from its number and the seed.

    - Pieces are drawn in proportion to their length.
    - The start is drawn from half a window before the piece to half a window before its end, and then moved inside the
      piece. On average the notes near both ends are labels as often as those in the middle.
    - The transposition is drawn from those that keep the whole piece in the vocabulary. The vocabulary has room for
      all of them, as far as MIDI's pitches go; an instrument's range is ignored.
    - Note values as written, doubled and halved are equally likely, if every time stays a whole number of ticks.
    - The key of a signature is transposed with the notes. Key and metre are masked in some windows, so that the model
      learns to do without them.

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
        words = random_uint64(self.seed, index, 6).T  # (6, B)
        pieces = np.searchsorted(self.ends, _below(words[0], self.ends[-1]), side="right")
        versions = self.first_version[pieces] + _below(words[1], self.versions[pieces])
        counts, half = self.counts[versions], self.span // 2
        starts = _below(words[2], counts - self.span + 2 * half + 1) - half
        starts = np.clip(starts, 0, np.maximum(counts - self.span, 0))
        semitones = self.down[versions] + _below(words[3], self.up[versions] - self.down[versions] + 1)
        prefixes = self._prefixes(versions, starts)
        if self.signatures is not None:
            prefixes = self.signatures.transposed(prefixes, semitones[:, None])
            prefixes = self.signatures.masked(prefixes, *(words[4:, :, None] % MASK_ONE_IN == 0))
        return self._batch(versions, starts, index, np.zeros_like(starts), semitones, prefixes)


class EvalEvents(EventWindows):
    """Every piece whole, in windows in order, each label exactly once.

    Args:
        pieces: The pieces.
        tokenizer: Makes the events.
        seq_len: Length T of a window.
        stride: Distance between the starts of a piece's windows, 1 to S, where S is T, or T - 1 with signatures.
            Default: half of S. Of each window but a piece's first, only the last ``stride`` labels count. They have a
            context of at least S - stride events.
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
        starts = numbers * self.stride
        prefixes = self._prefixes(pieces, starts)
        batch = self._batch(pieces, starts, index, first, np.zeros_like(index), prefixes)
        longest = prefixes.shape[1] + int((self.counts[pieces] - starts).max())  # the rest is padding
        return batch | {name: batch[name][:, :longest] for name in ("input_ids", "labels")}


def versions_of(piece: Piece, note_values: bool) -> list[Piece]:
    """The piece as written and, with ``note_values``, doubled and halved where all times stay whole ticks."""
    found = (stretched(piece, *value) for value in (VALUES if note_values else VALUES[:1]))
    return [version for version in found if version is not None]


def _below(words: np.ndarray, limits: np.ndarray | int) -> np.ndarray:
    """Numbers (B,) from 0 to below the limits, from random words (B,)."""
    return (words % np.asarray(limits, dtype=np.uint64)).astype(np.int64)
