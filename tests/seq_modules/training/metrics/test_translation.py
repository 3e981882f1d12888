"""BLEU and chrF are sacrebleu's, summed over batches and ranks; exact match."""

import math
import random

import pytest
import sacrebleu
import torch

from seq_modules.training.metrics.exact_metrics import ExactMetrics
from seq_modules.training.metrics.translation import BLEU, ChrF, ExactMatch, translation_metrics

WORDS = ["a", "A", "dog", "runs", "T-shirt", "don't", "Grüße", "in", "the", "1,000", "snow", ".", "?"]


def corpus(count: int, seed: int) -> tuple[list[str], list[str]]:
    """References, and hypotheses in which every third word is another one and some words are missing."""
    draw = random.Random(seed)
    references = [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(count)]
    hypotheses = []
    for line in references:
        words = [draw.choice(WORDS) if draw.random() < 0.3 else word for word in line.split()]
        hypotheses.append(" ".join(word for word in words if draw.random() < 0.9))
    return hypotheses, references


HYPOTHESES, REFERENCES = corpus(50, seed=0)
# sacrebleu's own corpus scores, each beside the metric that must give them.
PEERS = [
    (BLEU, {}, sacrebleu.BLEU()),
    (BLEU, {"lowercase": True}, sacrebleu.BLEU(lowercase=True, tokenize="13a")),
    (ChrF, {}, sacrebleu.CHRF()),
]


@pytest.mark.parametrize(("cls", "arguments", "peer"), PEERS)
def test_corpus_scores_are_sacrebleus(cls: type, arguments: dict, peer: sacrebleu.metrics.base.Metric) -> None:
    expected = peer.corpus_score(HYPOTHESES, [REFERENCES]).score
    assert 5 < expected < 95
    batched, first, second = (cls(**arguments) for _ in range(3))
    for start in range(0, 50, 7):
        batched.update(HYPOTHESES[start : start + 7], REFERENCES[start : start + 7])
    assert batched.compute().item() == pytest.approx(expected, abs=1e-9)
    assert batched.signature == str(peer.get_signature())
    first.update(HYPOTHESES[::2], REFERENCES[::2])  # as two ranks, whose states torchmetrics sums
    second.update(HYPOTHESES[1::2], REFERENCES[1::2])
    first.merge_state(second)
    assert torch.equal(first.counts, batched.counts)
    assert first.compute().item() == pytest.approx(expected, abs=1e-9)


def test_case_counts_unless_it_is_ignored() -> None:
    for lowercase, expected in ((False, False), (True, True)):
        metric = BLEU(lowercase)
        metric.update(["a DOG runs in the snow"], ["A dog runs in the snow"])
        assert (metric.compute().item() == pytest.approx(100)) == expected


def test_bleu_by_hand() -> None:
    metric = BLEU()
    metric.update(["the dog runs in snow"], ["the dog runs in the snow"])
    by_hand = 100 * math.exp(1 - 6 / 5) * (5 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4)  # brevity and four precisions
    assert metric.compute().item() == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("cls", [BLEU, ChrF])
def test_a_rank_without_sentences_and_empty_texts(cls: type) -> None:
    metric = cls()
    metric.update([], [])
    assert metric.compute() == 0
    metric.update(["", "a dog"], ["a dog", ""])
    assert metric.compute() == 0
    with pytest.raises(ValueError, match="2 hypotheses have 1 references"):
        metric.update(["a", "b"], ["a"])


def test_exact_match_ignores_the_amount_of_white_space_alone() -> None:
    metric = ExactMatch()
    metric.update(["2024-01-02", " 2024-01-02\n", "a  b", "a B", ""], ["2024-01-02", "2024-01-02", "a b", "a b", ""])
    assert metric.compute().item() == pytest.approx(4 / 5)


def test_the_collection_counts_exactly_in_half_precision() -> None:
    metrics = ExactMetrics(translation_metrics(), compute_groups=False).clone(prefix="test/")
    metrics.to(torch.bfloat16)
    for start in range(0, 50, 3):
        metrics.update(hypotheses=HYPOTHESES[start : start + 3], references=REFERENCES[start : start + 3])
    found = metrics.compute()
    assert found["test/bleu"].item() == pytest.approx(
        PEERS[0][2].corpus_score(HYPOTHESES, [REFERENCES]).score, abs=1e-9
    )
    assert found["test/exact_match"].item() == pytest.approx(
        sum(h.split() == r.split() for h, r in zip(HYPOTHESES, REFERENCES, strict=True)) / 50
    )
    metrics.reset()
    assert metrics["bleu"].counts.sum() == 0
