"""What followed the last times that a melody, or a harmony, went as it goes now: a memory of chorales by lookup.

Hymn tunes are set many times and their phrases come again, so the best guess at a next frame often stands written down
somewhere. A model that looks it up (as Khandelwal et al., "Generalization through Memorization", ICLR 2020, do with
hidden states) need not learn the tunes by heart. Here the key is exact and has no parameters: the intervals of the
melody, or the whole frames as seen from their highest pitch, read backwards from now. Both know no key, so that a
piece in E flat is reminded of one in G.

S places of a frame, M frames recalled at a time, T frames of a piece.
"""

from collections.abc import Sequence

import numpy as np

from datamodules.music.sources.jsb_files import Chorale
from datamodules.tokenizers.frame import FrameTokenizer
from seqlight.core.errors import UserError

NEVER = -1000  # the interval of a first frame, or beside silence: equal to none
LEAST = 2  # intervals that must agree
LONGEST = 31  # runs are counted up to here


class Recall:
    """The memory: frames of chorales, one after the other.

    Args:
        chorales: What is remembered.
        tokenizer: Makes the ids; a recalled frame that leaves its range is taken for none.
        size: Frames recalled at a time, M: half of them by the longest run of the melody, half by that of the texture.

    Raises:
        ValueError: ``size`` is below 2.
    """

    def __init__(self, chorales: Sequence[Chorale], tokenizer: FrameTokenizer, size: int) -> None:
        if size < 2:
            raise UserError(f"recalled must be at least 2, or 0 for none, not {size}")
        self.tokenizer, self.size = tokenizer, size
        self.textures: dict[tuple[int, ...], int] = {}
        self.spans: list[slice] = []
        rows: list[tuple[int, int, int]] = []
        for chorale in chorales:
            before = None
            for frame in chorale.frames:
                rows.append(self.signs(before, frame))
                before = frame
            self.spans.append(slice(len(rows) - len(chorale.frames), len(rows)))
        self.table = np.array(rows, dtype=np.int32).reshape(-1, 3).T.copy()  # interval, texture, highest pitch
        self.ids = np.concatenate([tokenizer.encode(chorale.frames) for chorale in chorales])

    def signs(self, before: tuple[int, ...] | None, frame: tuple[int, ...]) -> tuple[int, int, int]:
        """A frame by what does not depend on the key: interval from the frame before, texture; and its highest pitch.

        The texture is a number for the distances of the frame's pitches from its highest, together with the interval.
        """
        top = frame[-1] if frame else NEVER
        interval = top - before[-1] if before and frame else NEVER
        shape = (interval, *(top - pitch for pitch in frame))
        return interval, self.textures.setdefault(shape, len(self.textures)), top

    def read(self, chorale: Chorale, member: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What is recalled before each frame of a piece: ids (T, M, S) and runs (T, M, 2); see :class:`Listener`.

        Args:
            chorale: The piece.
            member: Its number, if it is one of the memory's own: it does not recall itself, but for its own past.
        """
        listener = Listener(self, member)
        found = [listener.recalled()]
        for frame in chorale.frames[:-1]:
            listener.hear(frame)
            found.append(listener.recalled())
        return np.stack([ids for ids, _ in found]), np.stack([runs for _, runs in found])


class Listener:
    """Somebody who hears a piece frame by frame and is reminded of the memory, and of what was heard already.

    Args:
        recall: The memory.
        member: Number of a piece of the memory that is passed over.
    """

    def __init__(self, recall: Recall, member: int | None = None) -> None:
        self.recall, self.hidden = recall, None if member is None else recall.spans[member]
        self.known = recall.table.shape[1]  # columns of the memory; those behind them are what was heard
        self.table = recall.table
        self.heard: list[np.ndarray] = []  # its ids
        self.begins = np.zeros(self.known + 1, dtype=bool)
        self.begins[[span.start for span in recall.spans]] = True
        self.begins[-1] = True
        self.runs = np.zeros((2, self.known), dtype=np.int32)  # of melody and texture, up to and with each frame
        self.before: tuple[int, ...] | None = None

    def hear(self, frame: tuple[int, ...]) -> None:
        """Takes the next frame, its pitches rising."""
        signs = np.array(self.recall.signs(self.before, frame), dtype=np.int32)
        runs = np.zeros((2, self.table.shape[1] + 1), dtype=np.int32)  # the last column is the frame itself
        if signs[0] != NEVER:
            runs[:, 1:-1] = self.runs[:, :-1]  # a run goes on where the frame before agreed too
            runs[:, :-1] += 1
            runs[:, :-1] *= self.table[:2] == signs[:2, None]  # a first frame's interval is equal to none
            if self.hidden is not None:
                runs[:, self.hidden] = 0
        self.runs, self.before = runs, frame
        self.table = np.concatenate((self.table, signs[:, None]), axis=1)
        self.heard.append(self.recall.tokenizer.encode([frame])[0])

    def recalled(self) -> tuple[np.ndarray, np.ndarray]:
        """The frames that followed where most agrees with what was heard last.

        Returns:
            Ids (M, S) of the frames, transposed as the melody now stands to the melody then; and (M, 2) how many
            intervals of the melody, and how many frames with all their pitches, agree without a gap, at most 31. Both
            0, and all ids END, where nothing is recalled.
        """
        tokenizer, size = self.recall.tokenizer, self.recall.size
        ids = np.full((size, tokenizer.frame_size), tokenizer.end_id, dtype=np.int64)
        runs = np.zeros((size, 2), dtype=np.int64)
        places = np.flatnonzero(self.runs[0, :-1] >= LEAST)  # behind the last frame heard there is nothing yet
        after = places[places < self.known] + 1
        places = np.concatenate((after[~self.begins[after]] - 1, places[places >= self.known]))
        melody, texture = np.minimum(self.runs[:, places], LONGEST)
        taken = best(melody, texture, places, size // 2)
        also = best(texture, melody, places, size)
        taken = np.concatenate((taken, also[~np.isin(also, taken)]))[:size]
        for row, at in enumerate(taken.tolist()):
            place = places[at] + 1
            frame = self.recall.ids[place] if place < self.known else self.heard[place - self.known]
            moved, fits = moved_by(frame, int(self.table[2, -1] - self.table[2, places[at]]), tokenizer)
            if fits:
                ids[row], runs[row] = moved, (melody[at], texture[at])
        return ids, runs


def best(first: np.ndarray, second: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Where the first numbers are greatest, then the second, then the places: at most ``count`` indices, in order.

    Of equals the last place is the piece's own past, or the memory's latest.
    """
    keys = ((first.astype(np.int64) * (LONGEST + 1) + second) << 32) + places
    if len(keys) > count:
        found = np.argpartition(keys, len(keys) - count)[len(keys) - count :]
        return found[np.argsort(-keys[found])]
    return np.argsort(-keys)


def moved_by(ids: np.ndarray, up: np.ndarray | int, tokenizer: FrameTokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Frames (..., S) transposed by some semitones, and whether they are still within the range, (...)."""
    by = -up if tokenizer.order == "falling" else up  # ids count from the highest pitch down
    pitches = ids < tokenizer.num_pitches
    moved = np.where(pitches, ids + by, ids)
    inside = ~pitches | ((moved >= 0) & (moved < tokenizer.num_pitches))
    return moved, np.asarray(inside.all(-1))
