"""The linear classifier of n-grams against plain Python, naive Bayes and other minimisers of the same loss."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seq_modules.nets.text.ngram_net import NgramConfig, NgramNet

Ngram = tuple[int, ...]
TEXTS = [[1, 2, 3], [1, 2, 1, 2, 4], [5], [3, 3, 3, 2], [4, 1, 2], [2, 1], [6, 5, 1, 2, 3, 4]]
LABELS = [0, 1, 2, 0, 1, -100, 2]
VOCAB = 7


def batch_of(texts: list[list[int]], labels: list[int], extra: int = 0) -> dict[str, Tensor]:
    """Rows padded with 0, which is a word's id too: the mask says what is a word."""
    width = max(map(len, texts)) + extra
    return {
        "input_ids": torch.tensor([text + [0] * (width - len(text)) for text in texts]),
        "attention_mask": torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts]),
        "labels": torch.tensor(labels),
    }


def ngrams(text: list[int], max_order: int) -> set[Ngram]:
    return {tuple(text[at : at + n]) for n in range(1, max_order + 1) for at in range(len(text) - n + 1)}


def plain_counts(max_order: int, min_count: int) -> dict[Ngram, list[int]]:
    """Texts of each of the three classes that have an n-gram."""
    labelled = [(text, label) for text, label in zip(TEXTS, LABELS, strict=True) if label >= 0]
    total = Counter(gram for text, _ in labelled for gram in ngrams(text, max_order))
    own = [
        Counter(gram for text, label in labelled if label == c for gram in ngrams(text, max_order)) for c in range(3)
    ]
    return {gram: [counts[gram] for counts in own] for gram, count in total.items() if count >= min_count}


def plain_ratios(counts: dict[Ngram, list[int]], smoothing: float) -> dict[Ngram, list[float]]:
    sums = [sum(smoothing + of[c] for of in counts.values()) for c in range(3)]
    logs = {gram: [math.log((smoothing + of[c]) / sums[c]) for c in range(3)] for gram, of in counts.items()}
    return {gram: [value - sum(row) / 3 for value in row] for gram, row in logs.items()}


def counted(classes: int = 3, **fields: Any) -> NgramNet:
    """A net that has counted the texts, in two batches."""
    net = NgramNet(VOCAB, classes, NgramConfig(**fields))
    net.count([batch_of(TEXTS[:3], LABELS[:3]), batch_of(TEXTS[3:], LABELS[3:], extra=2)])
    return net


@pytest.mark.parametrize("max_order", [1, 2, 3])
@pytest.mark.parametrize("min_count", [1, 2])
def test_ratios_are_those_of_plain_python(max_order: int, min_count: int) -> None:
    net = counted(max_order=max_order, min_count=min_count, smoothing=0.5)
    expected = plain_ratios(plain_counts(max_order, min_count), 0.5)
    found = {tuple(net.tokens(row)): net.ratios[row].tolist() for row in range(1, len(net.keys))}
    assert found.keys() == expected.keys()
    for gram, ratios in expected.items():
        assert found[gram] == pytest.approx(ratios, abs=1e-6)
    labelled = [text for text, label in zip(TEXTS, LABELS, strict=True) if label >= 0]
    rows = [[expected[g][c] for g in ngrams(text, max_order) if g in expected] for text in labelled for c in range(3)]
    assert net.norm.item() == pytest.approx(math.sqrt(sum(r * r for row in rows for r in row) / len(rows)))
    assert net.naive_bayes_norm.item() == pytest.approx(math.sqrt(sum(sum(row) ** 2 for row in rows) / len(rows)))


@pytest.mark.parametrize("naive_bayes", [0.0, 0.3])
def test_logits_sum_each_ngram_once_and_know_no_padding(naive_bayes: float) -> None:
    net = counted(max_order=2, naive_bayes=naive_bayes)
    torch.manual_seed(0)
    torch.nn.init.normal_(net.weight)
    torch.nn.init.normal_(net.bias)
    texts = [[1, 2, 1, 2, 1], [6, 6], [0, 3]]  # with n-grams that training has not
    rows = {tuple(net.tokens(row)): row for row in range(1, len(net.keys))}
    for extra in (0, 4):
        batch = batch_of(texts, [0, 0, 0], extra)
        (logits,) = net(batch["input_ids"], batch["attention_mask"].bool())
        for text, found in zip(texts, logits, strict=True):
            known = [rows[gram] for gram in ngrams(text, 2) if gram in rows]
            expected = net.bias.clone()
            for row in known:
                expected = expected + net.ratios[row] * (
                    naive_bayes / net.naive_bayes_norm + net.weight[row] / net.norm
                )
            torch.testing.assert_close(found, expected)


def test_without_training_it_is_naive_bayes() -> None:
    net = counted(max_order=2, naive_bayes=1.0)
    counts = plain_counts(2, 1)
    sums = [sum(1 + of[c] for of in counts.values()) for c in range(3)]
    batch = batch_of(TEXTS, LABELS)
    (logits,) = net(batch["input_ids"], batch["attention_mask"].bool())
    for text, found in zip(TEXTS, (net.naive_bayes_norm * logits).log_softmax(-1), strict=True):
        joint = [sum(math.log((1 + counts[g][c]) / sums[c]) for g in ngrams(text, 2) if g in counts) for c in range(3)]
        torch.testing.assert_close(found, torch.tensor(joint).log_softmax(-1))


@pytest.mark.parametrize("length", [5, 40])
def test_the_size_of_the_logits_before_training_is_that_of_the_config(length: int) -> None:
    generator = torch.Generator().manual_seed(0)
    texts = torch.randint(VOCAB, (40, length), generator=generator).tolist()
    batch = batch_of(texts, [row % 2 for row in range(40)])
    net = NgramNet(VOCAB, 2, NgramConfig(naive_bayes=0.8))
    net.count([batch])
    (logits,) = net(batch["input_ids"], batch["attention_mask"].bool())
    assert logits.square().mean().sqrt().item() == pytest.approx(0.8, rel=1e-5)


def made(rows: int = 60, words: int = 12) -> dict[str, Tensor]:
    """Texts of two classes, one of which has more of some words."""
    torch.manual_seed(1)
    labels = torch.arange(rows) % 2
    odds = torch.stack([torch.linspace(1, 2, words), torch.linspace(2, 1, words)])
    texts = [torch.multinomial(odds[label], 6, replacement=True).tolist() for label in labels]
    return batch_of(texts, labels.tolist())


def test_with_an_l2_penalty_it_is_logistic_regression() -> None:
    batch = made()
    ids, mask, labels = batch["input_ids"], batch["attention_mask"].bool(), batch["labels"]
    net = NgramNet(12, 2, NgramConfig(max_order=2, naive_bayes=0.0))
    net.count([batch])
    decay = 0.05
    optimizer = torch.optim.SGD(
        [{"params": [net.weight], "weight_decay": decay}, {"params": [net.bias]}], lr=1.0, momentum=0.9
    )
    for _ in range(300):
        optimizer.zero_grad()
        F.cross_entropy(net(ids, mask)[0], labels).backward()
        optimizer.step()
    # Of two classes, w_0 = w_1 = v: z_1 - z_0 = x·v + b, and decay / 2 · (w_0² + w_1²) = decay · v².
    x = torch.zeros(len(ids), len(net.keys), dtype=torch.float64).scatter_(1, net.rows(ids, mask), 1.0)
    x *= (net.ratios[:, 1] - net.ratios[:, 0]).double() / net.norm.double()
    v = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    b = torch.zeros((), dtype=torch.float64, requires_grad=True)
    exact = torch.optim.LBFGS([v, b], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        exact.zero_grad()
        value = F.binary_cross_entropy_with_logits(x @ v + b, labels.double()) + decay * v.square().sum()
        value.backward()
        return value

    exact.step(loss)
    logits = net(ids, mask)[0].double()
    torch.testing.assert_close(logits[:, 1] - logits[:, 0], x @ v + b, rtol=0, atol=1e-4)
    assert (x @ v + b).abs().max() > 0.5


def test_what_a_token_adds_alone() -> None:
    net = counted(max_order=2)
    alone = net.token_logits()
    rows = {tuple(net.tokens(row)): row for row in range(1, len(net.keys))}
    for token in range(VOCAB):
        expected = net.table()[rows[(token,)]] if (token,) in rows else torch.zeros(3)
        torch.testing.assert_close(alone[token], expected)


def test_votes_of_two_classes_are_log_odds() -> None:
    net = NgramNet(12, 2)
    net.count([made()])
    torch.nn.init.normal_(net.weight)
    table = net.table()
    torch.testing.assert_close(net.votes()[:, 1], table[:, 1] - table[:, 0])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_order": 0}, "net.max_order"),
        ({"min_count": 0}, "net.min_count"),
        ({"smoothing": 0.0}, "net.smoothing"),
        ({"naive_bayes": -1.0}, "net.naive_bayes"),
    ],
)
def test_refuses(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named}"):
        NgramConfig(**fields)


def test_refuses_ngrams_whose_keys_would_be_too_large_and_texts_without_ngrams() -> None:
    with pytest.raises(ValueError, match=r"^net.max_order 4 is too long for n-grams of 100,000 tokens"):
        NgramNet(100_000, 2, NgramConfig(max_order=4))
    with pytest.raises(ValueError, match=r"^net.min_count 9: no n-gram"):
        counted(min_count=9)
