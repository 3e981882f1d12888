"""Texts with a teacher's probabilities: how they are read, and how they join the labelled texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import ReviewsDataModule
from datamodules.classification.soft_labels import read_soft_labels
from seqlight.core.errors import UserError

CLASSES = ["neg", "pos"]


def lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def soft(text: str, pos: float) -> dict[str, Any]:
    return {"text": text, "probabilities": {"pos": pos, "neg": 1 - pos}}


def test_probabilities_are_read_in_the_order_of_the_classes(tmp_path: Path) -> None:
    found = read_soft_labels(lines(tmp_path / "p.jsonl", soft(" a film ", 0.75), soft("a book", 0.125)), CLASSES)
    assert found.texts == ["a film", "a book"]
    assert found.labels.tolist() == [1, 0]
    assert found.probabilities is not None
    assert found.probabilities.tolist() == [[0.25, 0.75], [0.875, 0.125]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nonsense", "no JSON .Expecting value"),
        ("[" * 100_000, "no JSON .maximum recursion depth exceeded"),
        ("[1, 2]", "no object but list"),
        ({"probabilities": {"pos": 1, "neg": 0}}, "the text is missing"),
        ({"text": " ", "probabilities": {"pos": 1, "neg": 0}}, "the text is empty"),
        ({"text": "a"}, "there are no probabilities of the classes"),
        ({"text": "a", "probabilities": {"pos": 1.0}}, "its classes are pos, and those of the data neg, pos"),
        ({"text": "a", "probabilities": {"pos": 1.5, "neg": -0.5}}, "its probabilities are not numbers from 0"),
        ({"text": "a", "probabilities": {"pos": float("nan"), "neg": 0}}, "its probabilities are not numbers"),
        ({"text": "a", "probabilities": {"pos": True, "neg": False}}, "its probabilities are not numbers"),
        ({"text": "a", "probabilities": {"pos": "1", "neg": 0}}, "its probabilities are not numbers from 0"),
        ({"text": "a", "probabilities": {"pos": 0.5, "neg": 0.25}}, "its probabilities have the sum 0.750"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: Any, message: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(f"{json.dumps(soft('a film', 1.0))}\n{row if isinstance(row, str) else json.dumps(row)}\n")
    with pytest.raises(
        UserError, match=f"soft_labels_path .*p.jsonl: line 2: {message}.*; give the predictions.jsonl that"
    ):
        read_soft_labels(str(path), CLASSES)


def test_rounded_probabilities_add_up_to_one_again_and_bad_bytes_are_named(tmp_path: Path) -> None:
    row = {"text": "a", "probabilities": {"neg": 0.333, "pos": 0.663}}
    found = read_soft_labels(lines(tmp_path / "p.jsonl", row), CLASSES)
    assert found.probabilities is not None
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-6)
    path = tmp_path / "bytes.jsonl"
    path.write_bytes(json.dumps(soft("caf~", 1.0)).encode().replace(b"~", b"\xe9"))
    with pytest.raises(UserError, match="line 1: byte 0xE9 does not belong to the encoding"):
        read_soft_labels(str(path), CLASSES)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty; give the predictions"):
        read_soft_labels(lines(tmp_path / "p.jsonl"), CLASSES)


def test_they_join_the_training_texts_but_for_those_that_are_tested(tmp_path: Path, cache: Path) -> None:
    table = lines(tmp_path / "t.jsonl", *({"text": f"film {n}", "label": CLASSES[n % 2]} for n in range(40)))
    plain = ReviewsDataModule(path=table, tokenizer="words")
    held = [*plain.splits["val"].texts, *plain.splits["test"].texts]
    path = lines(tmp_path / "p.jsonl", soft("a new word", 0.75), *(soft(text, 0.5) for text in held))
    data = ReviewsDataModule(path=table, tokenizer="words", soft_labels_path=path, batch_size=64)
    size = len(plain.splits["train"])
    assert data.train_examples.texts == [*plain.splits["train"].texts, "a new word"]
    assert data.splits["val"].texts == plain.splits["val"].texts
    data.setup("fit")
    assert data.train_set is not None
    batch = data.train_set.__getitems__(range(size + 1))
    certain = torch.nn.functional.one_hot(batch["labels"], 2).float()
    newest = batch["index"] == size
    assert torch.equal(batch["probabilities"][~newest], certain[~newest])
    assert batch["probabilities"][newest].tolist() == [[0.25, 0.75]]
    assert data.class_counts == np.bincount([*plain.splits["train"].labels, 1]).tolist()
    assert "probabilities" not in data.val_set.__getitems__([0])  # type: ignore[union-attr]
    assert "new" in data.tokenizer.pieces(range(data.vocab_size))
