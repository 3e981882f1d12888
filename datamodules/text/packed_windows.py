"""Documents packed into windows of token ids, in blocks that are shuffled and can be made again."""

from collections.abc import Callable
from typing import Any

import numpy as np

from datamodules.text.document_source import DocumentStream


class PackedWindows:
    """Windows of the documents of one stream, one after the other without end.

    The ids of the documents follow each other, and windows lie side by side in them: each has T + 1 ids, and its last
    id is the next one's first, so that each id is a label once. Windows are made in blocks of at least ``block``, which
    are shuffled. A block can be made again from the state at its beginning, so that nothing of it has to be saved.

    Args:
        documents: The documents.
        encode: A document with its separator, as ids (N,).
        seq_len: Length T of a window.
        block: Windows of a block (its shuffle buffer), at least 1; a long document makes a block longer.
        seed: Seed of the order within the blocks.
    """

    def __init__(
        self, documents: DocumentStream, encode: Callable[[str], np.ndarray], seq_len: int, block: int, seed: int
    ) -> None:
        self.documents, self.encode, self.seq_len, self.block, self.seed = documents, encode, seq_len, block, seed
        self.taken = 0  # windows so far
        self._windows: np.ndarray | None = None  # the block (n, T + 1), in the order of the documents
        self._order = np.zeros(0, dtype=np.int64)
        self._rest = np.zeros(0, dtype=np.int64)  # ids after the last window, of which the first is its last
        self.state: dict[str, Any] = {"window": 0, "rest": [], "documents": documents.state_dict()}

    def seek(self, state: dict[str, Any], taken: int) -> None:
        """Goes to a window.

        Args:
            state: A ``state`` of these windows: that of the block in which the window before lies.
            taken: Number of windows before it.
        """
        if taken == self.taken and state["window"] == self.state["window"]:
            return
        self.documents.load_state_dict(state["documents"])
        self._rest = np.array(state["rest"], dtype=np.int64)
        self.taken, self.state, self._windows = taken, state, None

    def next(self) -> np.ndarray:
        """The next window (T + 1,)."""
        if self._windows is None:
            self._fill()
        while self.taken - self.state["window"] >= len(self._order):
            self.state = {
                "window": self.state["window"] + len(self._order),
                "rest": self._rest.tolist(),
                "documents": self.documents.state_dict(),
            }
            self._fill()
        assert self._windows is not None
        window = self._windows[self._order[self.taken - self.state["window"]]]
        self.taken += 1
        return window

    def _fill(self) -> None:
        """Makes the block that begins at ``state``."""
        wanted, parts, held = self.block * self.seq_len + 1, [self._rest], len(self._rest)
        while held < wanted:
            for text in self.documents.next():
                parts.append(self.encode(text))
                held += len(parts[-1])
        ids = np.concatenate(parts)
        count = (held - 1) // self.seq_len
        used = ids[: count * self.seq_len + 1]
        self._windows = np.lib.stride_tricks.sliding_window_view(used, self.seq_len + 1)[:: self.seq_len]
        self._rest = ids[count * self.seq_len :].astype(np.int64)
        self._order = np.random.default_rng([self.seed, self.documents.number, self.state["window"]]).permutation(count)
