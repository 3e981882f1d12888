"""SpanScore against conlleval's rules, written out as that program has them."""

import random

import pytest
import torch

from seq_modules.training.metrics.spans import SpanScore
from seqlight.core.labels import IGNORED

NAMES = ["B-A", "B-B", "I-A", "I-B", "O"]


def end_of_chunk(before: str, label: str) -> bool:
    """Whether a chunk ends between two labels: conlleval's endOfChunk, for B, I and O."""
    if before == "O":
        return False
    return label == "O" or label[0] == "B" or before[2:] != label[2:]


def start_of_chunk(before: str, label: str) -> bool:
    """Whether a chunk starts at the second of two labels: conlleval's startOfChunk, for B, I and O."""
    if label == "O":
        return False
    return label[0] == "B" or before == "O" or before[2:] != label[2:]


def conlleval(true: list[str], predicted: list[str]) -> tuple[int, int, int]:
    """Right, predicted and true chunks, counted in one pass over the words as conlleval does."""
    right = found = gold = 0
    inside, before_true, before_found = False, "O", "O"
    for label, guess in [*zip(true, predicted, strict=True), ("O", "O")]:
        ends, guess_ends = end_of_chunk(before_true, label), end_of_chunk(before_found, guess)
        if inside and ends and guess_ends and before_true[2:] == before_found[2:]:
            inside, right = False, right + 1
        elif inside and (ends != guess_ends or label[2:] != guess[2:]):
            inside = False
        starts, guess_starts = start_of_chunk(before_true, label), start_of_chunk(before_found, guess)
        if starts and guess_starts and label[2:] == guess[2:]:
            inside = True
        gold, found = gold + starts, found + guess_starts
        before_true, before_found = label, guess
    return right, found, gold


def test_scores_are_conllevals() -> None:
    draw = random.Random(0)
    metrics = {score: SpanScore(NAMES, score) for score in ("precision", "recall", "f1")}  # type: ignore[arg-type]
    totals = [0, 0, 0]
    for _ in range(200):
        lengths = [draw.randint(1, 9) for _ in range(4)]
        target = torch.full((4, max(lengths)), IGNORED)
        preds = torch.randint(5, target.shape)  # padding too
        for row, length in enumerate(lengths):
            true = [draw.choice(NAMES) for _ in range(length)]
            guess = [label if draw.random() < 0.7 else draw.choice(NAMES) for label in true]
            target[row, :length] = torch.tensor([NAMES.index(label) for label in true])
            preds[row, :length] = torch.tensor([NAMES.index(label) for label in guess])
            totals = [a + b for a, b in zip(totals, conlleval(true, guess), strict=True)]
        for metric in metrics.values():
            metric.update(preds, target)
    right, found, gold = totals
    assert 0 < right < min(found, gold)
    metric = metrics["f1"]
    assert [int(metric.right), int(metric.predicted), int(metric.true)] == totals
    precision, recall = right / found, right / gold
    assert metrics["precision"].compute().item() == pytest.approx(precision)
    assert metrics["recall"].compute().item() == pytest.approx(recall)
    assert metrics["f1"].compute().item() == pytest.approx(2 * precision * recall / (precision + recall))


def test_without_spans_a_score_is_not_a_number() -> None:
    metric = SpanScore(NAMES, "recall")
    metric.update(torch.tensor([[4, 4]]), torch.tensor([[4, IGNORED]]))
    assert metric.compute().isnan()
