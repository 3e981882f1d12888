"""Retrieval from chorales: frames that followed earlier contexts with the same melody or harmony as the current one.

Hymn tunes are set many times and their phrases recur, so the next frame can often be found in another piece. A model
that retrieves it need not memorise the tunes (Khandelwal et al., "Generalization through Memorization", ICLR 2020,
retrieve by hidden states). Here contexts are compared exactly, backwards from the current frame, by two keys without
parameters: the intervals of the melody, and the whole frames relative to their highest pitch. A match is as long as the
longest common suffix of the two contexts. Neither key depends on the musical key: a context in E flat matches one in G.
The net's side is seq_modules/nets/retrieval.py.

S pitches of a frame at most, M retrieved frames, T frames of a piece.
"""

from collections.abc import Sequence

import numpy as np

from datamodules.music.sources.jsb_files import Chorale
from datamodules.tokenizers.music.frame import FrameTokenizer
from seqlight.core.hyperparameters import check_range

NEVER = -1000  # the interval of a first frame, or beside silence: it matches none
LEAST = 2  # fewest intervals that must agree
MAX_MATCH = 31  # matches are counted up to this length


class RetrievalIndex:
    """Frames of chorales, one after the other, with their keys.

    Args:
        chorales: The pieces to retrieve from.
        tokenizer: Makes the ids; a retrieved frame outside its range is dropped.
        size: Number of frames retrieved at a time, M, at least 2: half of them by the longest match of the melody, half
            by that of the texture.

    Raises:
        UserError: ``size`` is below 2.
    """

    def __init__(self, chorales: Sequence[Chorale], tokenizer: FrameTokenizer, size: int) -> None:
        check_range("retrieved", size, least=2)  # 0 makes no index
        self.tokenizer, self.size = tokenizer, size
        self.textures: dict[tuple[int, ...], int] = {}
        self.spans: list[slice] = []
        rows: list[tuple[int, int, int]] = []
        for chorale in chorales:
            before = None
            for frame in chorale.frames:
                rows.append(self.keys(before, frame))
                before = frame
            self.spans.append(slice(len(rows) - len(chorale.frames), len(rows)))
        self.table = np.array(rows, dtype=np.int32).reshape(-1, 3).T.copy()  # interval, texture, highest pitch
        self.ids = np.concatenate([tokenizer.encode(chorale.frames) for chorale in chorales])

    def keys(self, before: tuple[int, ...] | None, frame: tuple[int, ...]) -> tuple[int, int, int]:
        """A frame's two keys, the interval from the frame before and the texture; and its highest pitch.

        The texture is a number for the distances of the frame's pitches from its highest, together with the interval.
        """
        top = frame[-1] if frame else NEVER
        interval = top - before[-1] if before and frame else NEVER
        shape = (interval, *(top - pitch for pitch in frame))
        return interval, self.textures.setdefault(shape, len(self.textures)), top

    def retrieve_all(self, chorale: Chorale, member: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Retrieved frames before each frame of a piece: ids (T, M, S) and match lengths (T, M, 2).

        Args:
            chorale: The piece.
            member: Its number if it is a piece of the index; of this piece, only its past is retrieved.
        """
        retriever = Retriever(self, member)
        found = [retriever.retrieved()]
        for frame in chorale.frames[:-1]:
            retriever.append(frame)
            found.append(retriever.retrieved())
        return np.stack([ids for ids, _ in found]), np.stack([lengths for _, lengths in found])


class Retriever:
    """Incremental retrieval for one piece, from an index and from the piece's own past.

    Args:
        index: The index.
        member: Number of a piece of the index that is excluded.
    """

    def __init__(self, index: RetrievalIndex, member: int | None = None) -> None:
        self.index, self.excluded = index, None if member is None else index.spans[member]
        self.known = index.table.shape[1]  # columns of the index; those behind them are the piece's own
        self.table = index.table
        self.own: list[np.ndarray] = []  # ids of the piece's frames
        self.begins = np.zeros(self.known + 1, dtype=bool)
        self.begins[[span.start for span in index.spans]] = True
        self.begins[-1] = True
        self.lengths = np.zeros((2, self.known), dtype=np.int32)  # of melody and texture, up to and with each frame
        self.before: tuple[int, ...] | None = None

    def append(self, frame: tuple[int, ...]) -> None:
        """Appends the piece's next frame, its pitches rising."""
        keys = np.array(self.index.keys(self.before, frame), dtype=np.int32)
        lengths = np.zeros((2, self.table.shape[1] + 1), dtype=np.int32)  # the last column is the frame itself
        if keys[0] != NEVER:
            lengths[:, 1:-1] = self.lengths[:, :-1]  # a match goes on where the frame before agreed too
            lengths[:, :-1] += 1
            lengths[:, :-1] *= self.table[:2] == keys[:2, None]  # a first frame's interval matches none
            if self.excluded is not None:
                lengths[:, self.excluded] = 0
        self.lengths, self.before = lengths, frame
        self.table = np.concatenate((self.table, keys[:, None]), axis=1)
        self.own.append(self.index.tokenizer.encode([frame])[0])

    def retrieved(self) -> tuple[np.ndarray, np.ndarray]:
        """The frames that followed the longest matches with the piece so far.

        Returns:
            Ids (M, S) of the frames, transposed to the current melody's pitch; and match lengths (M, 2), at most 31:
            the number of consecutive intervals of the melody, and of whole frames, that agree. An empty row has lengths
            0 and all ids END.
        """
        tokenizer, size = self.index.tokenizer, self.index.size
        ids = np.full((size, tokenizer.frame_size), tokenizer.end_id, dtype=np.int64)
        lengths = np.zeros((size, 2), dtype=np.int64)
        positions = np.flatnonzero(self.lengths[0, :-1] >= LEAST)  # nothing follows the last frame yet
        after = positions[positions < self.known] + 1
        positions = np.concatenate((after[~self.begins[after]] - 1, positions[positions >= self.known]))
        melody, texture = np.minimum(self.lengths[:, positions], MAX_MATCH)
        taken = best(melody, texture, positions, size // 2)
        also = best(texture, melody, positions, size)
        taken = np.concatenate((taken, also[~np.isin(also, taken)]))[:size]
        for row, at in enumerate(taken.tolist()):
            position = positions[at] + 1
            frame = self.index.ids[position] if position < self.known else self.own[position - self.known]
            moved, fits = moved_by(frame, int(self.table[2, -1] - self.table[2, positions[at]]), tokenizer)
            if fits:
                ids[row], lengths[row] = moved, (melody[at], texture[at])
        return ids, lengths


def best(first: np.ndarray, second: np.ndarray, positions: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` indices, sorted by the first numbers, then the second, then the positions, each descending.

    Of equal matches the last position comes first: the piece's own past, or the latest of the index.
    """
    keys = ((first.astype(np.int64) * (MAX_MATCH + 1) + second) << 32) + positions
    if len(keys) > count:
        found = np.argpartition(keys, len(keys) - count)[len(keys) - count :]
        return found[np.argsort(-keys[found])]
    return np.argsort(-keys)


def moved_by(ids: np.ndarray, up: np.ndarray | int, tokenizer: FrameTokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Frames (..., S) transposed up by some semitones, and whether they stay within the range, (...)."""
    by = -up if tokenizer.order == "falling" else up  # ids count from the highest pitch down
    pitches = ids < tokenizer.num_pitches
    moved = np.where(pitches, ids + by, ids)
    inside = ~pitches | ((moved >= 0) & (moved < tokenizer.num_pitches))
    return moved, np.asarray(inside.all(-1))
