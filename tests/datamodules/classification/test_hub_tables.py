"""Questions and reviews from the hub, with the columns of common data sets."""

import sys
import types
from typing import Any

import pytest

from datamodules import QuestionsDataModule, ReviewsDataModule
from datamodules.classification.groups import TextConfig
from datamodules.classification.question_files import FINE


class Table(list[dict[str, Any]]):
    """What ``datasets`` gives for a split, as far as it is used."""

    features: dict[str, Any] = {}  # noqa: RUF012


def with_hub(monkeypatch: pytest.MonkeyPatch, tables: Any) -> list[Any]:
    asked: list[Any] = []

    def load_dataset(*args: Any, **kwargs: Any) -> Any:
        asked.append((args, kwargs))
        if isinstance(tables, Exception):
            raise tables
        return tables

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_questions_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the columns of SetFit/TREC-QC, both parts of the class in one or in two, and of CogComp/trec."""
    questions = [(FINE[i % 50], f"question {i} about DESC ?") for i in range(200)]
    whole, parts, numbers = Table(), Table(), Table()
    numbers.features = {"fine_label": types.SimpleNamespace(names=FINE), "text": types.SimpleNamespace()}
    for label, text in questions:
        coarse, fine = label.split(":")
        whole.append({"text": text, "label": 3, "label_original": label, "label_coarse_original": coarse})
        parts.append({"text": text, "label_original": fine, "label_coarse_original": coarse, "label_text": "words"})
        numbers.append({"text": text, "fine_label": FINE.index(label)})
    for table in (whole, parts, numbers):
        asked = with_hub(monkeypatch, {"train": table, "test": Table(table[:40])})
        if table is numbers:
            with_hub(monkeypatch, {"train": table, "test": table})
        splits = QuestionsDataModule(text=TextConfig("SetFit/TREC-QC", "v1"), labels="fine").splits
        if table is not numbers:
            assert asked == [(("SetFit/TREC-QC", None), {"revision": "v1"})]
        found = dict(zip(splits["train"].texts, splits["train"].labels, strict=True))
        assert len(found) == 180
        assert all(FINE[found[text]] == label for label, text in questions if text in found)
    with_hub(monkeypatch, {"train": Table([{"text": "x", "label": "spam"}]), "test": Table()})
    with pytest.raises(ValueError, match=r"^text.hub me/spam: row 0 has no text with one of TREC's classes"):
        _ = QuestionsDataModule(text=TextConfig("me/spam")).splits
    with_hub(monkeypatch, {"train": whole})
    with pytest.raises(ValueError, match=r"^text.hub me/trec: has no split test"):
        _ = QuestionsDataModule(text=TextConfig("me/trec")).splits
    with_hub(monkeypatch, ConnectionError("no network"))
    with pytest.raises(
        ValueError, match=r"^text.hub me/trec could not be loaded \(ConnectionError: no network\); .*path$"
    ):
        _ = QuestionsDataModule(text=TextConfig("me/trec")).splits


def test_reviews_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {
        "train": Table({"text": f"t{i}<br />", "label": i % 2} for i in range(40)),
        "test": Table({"text": f"e{i}", "label": i % 2} for i in range(10)),
        "unsupervised": Table({"text": f"u{i}", "label": -1} for i in range(10)),
    }
    for table in tables.values():
        table.features = {"text": object(), "label": types.SimpleNamespace(names=["neg", "pos"])}
    with_hub(monkeypatch, tables)
    data = ReviewsDataModule(text=TextConfig("stanfordnlp/imdb"))
    assert data.class_names == ["neg", "pos"]
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 36, "val": 4, "test": 10}
    assert data.splits["test"].labels.tolist() == [0, 1] * 5
    with pytest.raises(ValueError, match=r"^text.hub a/b: has no column 'stars' but text, label; give --data\.text"):
        _ = ReviewsDataModule(text=TextConfig("a/b", label_column="stars")).class_names
    with_hub(monkeypatch, ConnectionError("no network"))
    with pytest.raises(
        ValueError, match=r"^text.hub a/b could not be loaded \(ConnectionError: no network\); .*--data\.path$"
    ):
        _ = ReviewsDataModule(text=TextConfig("a/b")).class_names
