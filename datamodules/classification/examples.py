"""Labelled texts, stratified samples of them, and texts that occur in more than one split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.loading.counter_rng import random_uint64
from seqlight.core.labels import IGNORED

Split = Literal["train", "val", "test"]


@dataclass
class Examples:
    """N texts with their classes.

    Attributes:
        texts: The texts.
        labels: Class of each text, (N,); -100 if it is unknown.
        aux_labels: Class of each text in the auxiliary set of classes, (N,); -100 if there is no such set.
        probabilities: What training has as its target in place of the labels, (N, C); by default the labels.
    """

    texts: list[str]
    labels: np.ndarray
    aux_labels: np.ndarray
    probabilities: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        labels: Sequence[int],
        aux_labels: Sequence[int] | None = None,
        probabilities: np.ndarray | None = None,
    ) -> "Examples":
        """Examples from lists. Without ``aux_labels``, all auxiliary labels are -100."""
        aux = np.full(len(texts), IGNORED) if aux_labels is None else np.array(aux_labels, dtype=np.int64)
        return cls(list(texts), np.array(labels, dtype=np.int64), aux.astype(np.int64), probabilities)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Examples":
        """The examples of the given row numbers, in that order."""
        chosen = np.asarray(rows, dtype=np.int64)
        probabilities = None if self.probabilities is None else self.probabilities[chosen]
        texts = [self.texts[row] for row in chosen]
        return Examples(texts, self.labels[chosen], self.aux_labels[chosen], probabilities)

    def with_soft(self, soft: "Examples") -> "Examples":
        """These examples, with a probability of 1 for each label, and others that have probabilities already."""
        assert soft.probabilities is not None
        certain = (self.labels[:, None] == np.arange(soft.probabilities.shape[1])).astype(np.float32)
        return Examples(
            [*self.texts, *soft.texts],
            np.concatenate([self.labels, soft.labels]),
            np.concatenate([self.aux_labels, soft.aux_labels]),
            np.concatenate([certain, soft.probabilities]),
        )


def stratified_sample(strata: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """A stratified sample of N rows: a mask (N,) that is true for round(N * fraction) rows.

    Rows are shuffled within each stratum, the strata are concatenated, and every 1/fraction-th row is taken. The sample
    therefore has the fraction of each stratum, rounded up or down.
    """
    order, size = _stratified_order(strata, seed), len(strata)
    wanted = round(size * fraction)
    # Rows at which a line from 0 to `wanted` passes a whole number are taken.
    steps = (np.arange(size + 1) * wanted + size // 2) // max(size, 1)
    chosen = np.zeros(size, dtype=bool)
    chosen[order[np.diff(steps) > 0]] = True
    return chosen


def stratified_folds(strata: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row, (N,), from 0 to ``folds`` - 1.

    The sizes of the folds differ by at most one row, and so do the numbers of rows that they have of a stratum.
    """
    fold = np.zeros(len(strata), dtype=np.int64)
    fold[_stratified_order(strata, seed)] = np.arange(len(strata)) % folds
    return fold


def _stratified_order(strata: np.ndarray, seed: int) -> np.ndarray:
    shuffled = np.argsort(
        random_uint64(seed, np.array([0]), len(strata))[0], kind="stable"
    )  # NumPy may change its own shuffle
    return shuffled[np.argsort(strata[shuffled], kind="stable")]


def text_hashes(texts: Sequence[str]) -> np.ndarray:
    """A 64-bit hash of each text, (N,), without the white space around it."""
    digests = [hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


def count_duplicates(splits: dict[Split, Examples]) -> dict[str, int]:
    """Counts repeated texts. Two texts are equal if they differ only in white space around them.

    Returns:
        For each split, the number of rows that repeat an earlier row of it ("train"). For each pair of splits, the
        number of rows of the first that the second has too ("val in train", "test in train", "test in val").
    """
    sets = {name: {text.strip() for text in part.texts} for name, part in splits.items()}
    found = {str(name): len(part) - len(sets[name]) for name, part in splits.items()}
    for later, earlier in (("val", "train"), ("test", "train"), ("test", "val")):
        if later in splits and earlier in splits:
            found[f"{later} in {earlier}"] = sum(text.strip() in sets[earlier] for text in splits[later].texts)
    return found


def without_duplicates(splits: dict[Split, Examples]) -> dict[Split, Examples]:
    """The splits with each text once, in the last split that has it and at its first position there.

    The test split loses only its own repetitions. Validation also loses texts of the test split, and training loses
    texts of both.
    """
    seen: set[str] = set()
    kept: dict[Split, Examples] = {}
    for name in ("test", "val", "train"):
        rows = []
        for row, text in enumerate(splits[name].texts):
            if text.strip() not in seen:
                seen.add(text.strip())
                rows.append(row)
        kept[name] = splits[name].take(rows)
    return {name: kept[name] for name in splits}
