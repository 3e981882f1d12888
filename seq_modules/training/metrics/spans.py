"""Precision, recall and F1 of spans in the BIO scheme, by the rules of conlleval (Tjong Kim Sang & Buchholz 2000).

B sentences, T words, C labels. A span is right where its type, its first and its last word are; an I-X that no span of
the type X precedes begins one.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from seqlight.core.labels import IGNORED
from seqlight.core.spans import OUTSIDE, type_of

Score = Literal["precision", "recall", "f1"]


class SpanScore(Metric):
    """One of the three scores, over all spans of all batches and ranks; NaN where it has no span to count.

    Args:
        class_names: The labels, in the order of their numbers.
        score: Which score.
    """

    higher_is_better = True
    full_state_update = False
    right: Tensor
    predicted: Tensor
    true: Tensor

    def __init__(self, class_names: Sequence[str], score: Score) -> None:
        super().__init__()
        types = sorted({type_of(name) for name in class_names if name != OUTSIDE})
        self.score = score
        self._types = torch.tensor([-1 if name == OUTSIDE else types.index(type_of(name)) for name in class_names])
        self._begins = torch.tensor([name.startswith("B-") for name in class_names])
        for state in ("right", "predicted", "true"):
            self.add_state(state, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Takes predicted and true labels, (B, T); words whose true label is -100 are in no span."""
        counted = target != IGNORED
        first, last, types = self.spans(preds, counted)
        true_first, true_last, true_types = self.spans(target, counted)
        same = first & true_first & (last == true_last) & (types == true_types)
        self.right += same.sum()
        self.predicted += first.sum()
        self.true += true_first.sum()

    def spans(self, labels: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whether a span begins at a word, where one that does ends, and its type; each (B, T)."""
        known = labels.where(counted, 0)
        types = self._types.to(labels.device)[known].where(counted, -1)
        inside = types >= 0
        other = types[:, 1:] != types[:, :-1]  # than the word before
        first, last = inside.clone(), inside.clone()
        begins = self._begins.to(labels.device)[known]
        first[:, 1:] &= begins[:, 1:] | other
        last[:, :-1] = inside[:, :-1] & (first[:, 1:] | ~inside[:, 1:])
        places = torch.arange(labels.shape[1], device=labels.device).where(last, labels.shape[1])
        return first, places.flip(1).cummin(1).values.flip(1), types

    def compute(self) -> Tensor:
        """The score, between 0 and 1."""
        if self.score == "f1":
            return 2 * self.right / (self.predicted + self.true)
        return self.right / (self.predicted if self.score == "precision" else self.true)
