"""TREC: its two protocols, the label leak, duplicates, and coarse or fine labels."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import QuestionsDataModule
from datamodules.classification.question_files import COARSE, FINE
from datamodules.classification.questions import QuestionSplit

FIRST_2000 = QuestionSplit(protocol="first2000")


def rows(path: Path) -> list[tuple[str, str]]:
    """Label and question of each line, read the obvious way."""
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in path.read_text("latin-1").splitlines()]


def test_official_protocol(trec: Path) -> None:
    data = QuestionsDataModule(path=str(trec))
    lines, test = rows(trec / "train_5500.label"), rows(trec / "TREC_10.label")
    splits = data.splits
    assert splits["test"].texts == [text for _, text in test]
    assert [COARSE[label] for label in splits["test"].labels] == [label.split(":")[0] for label, _ in test]
    assert Counter(splits["train"].texts + splits["val"].texts) == Counter(text for _, text in lines)
    assert len(splits["val"]) == 210
    expected = 0.1 * np.array([sum(label == name for label, _ in lines) for name in FINE])
    assert np.abs(np.bincount(splits["val"].aux_labels, minlength=50) - expected).max() < 1
    assert QuestionsDataModule(path=str(trec), seed=5).splits["val"].texts == splits["val"].texts
    assert QuestionsDataModule(path=str(trec), split=QuestionSplit(seed=5)).splits["val"].texts != splits["val"].texts


def test_a_path_may_be_one_of_the_two_files(trec: Path) -> None:
    of_folder, of_file = (QuestionsDataModule(path=str(place)).splits for place in (trec, trec / "TREC_10.label"))
    assert all(of_file[name].texts == of_folder[name].texts for name in of_folder)


def test_protocol_first2000(trec: Path) -> None:
    lines = rows(trec / "train_5500.label")
    order = list(range(2000))
    random.seed(1234)
    random.shuffle(order)
    splits = QuestionsDataModule(path=str(trec), split=FIRST_2000).splits
    for name, first, last in (("train", 0, 1601), ("val", 1601, 1799), ("test", 1799, 2000)):
        part = splits[name]  # type: ignore[index]
        assert part.texts == [lines[row][1] for row in order[first:last]]
        assert [FINE[label] for label in part.aux_labels] == [lines[row][0] for row in order[first:last]]
    (trec / "train_5500.label").write_text("DESC:def What is x ?\n" * 1999)
    with pytest.raises(ValueError, match=r"^split.protocol first2000 takes 2,000 training questions, and there are 1"):
        _ = QuestionsDataModule(path=str(trec), split=FIRST_2000).splits


def test_the_fine_label_is_in_the_text_only_with_the_option(trec: Path) -> None:
    clean = QuestionsDataModule(path=str(trec), split=FIRST_2000)
    leaky = QuestionsDataModule(path=str(trec), split=FIRST_2000, fine_label_in_text=True)
    for name, part in clean.splits.items():
        words = [FINE[label].split(":")[1] for label in part.aux_labels]
        assert leaky.splits[name].texts == [f"{word} {text}" for word, text in zip(words, part.texts, strict=True)]
        assert all(text.startswith("What ") for text in part.texts)


def test_duplicates_are_counted_and_dropped_with_the_option(trec: Path) -> None:
    kept, dropped = (
        QuestionsDataModule(path=str(trec), split=QuestionSplit(drop_duplicates=drop)) for drop in (False, True)
    )
    assert len(kept.splits["train"]) + len(kept.splits["val"]) == 2100
    told = kept.duplicates
    assert told["train"] + told["val"] + told["val in train"] == 3
    assert told["test in train"] + told["test in val"] == 1
    assert dropped.splits["test"].texts == kept.splits["test"].texts
    texts = [text for part in dropped.splits.values() for text in part.texts]
    assert len(texts) == len(set(texts)) == 2160 - 4
    assert dropped.duplicates == told
    assert "repeated texts, kept" in kept.summary()


def test_coarse_or_fine_labels(trec: Path) -> None:
    coarse, fine = (QuestionsDataModule(path=str(trec), labels=level) for level in ("coarse", "fine"))
    assert (coarse.num_classes, coarse.num_aux_classes, fine.num_classes, fine.num_aux_classes) == (6, 50, 50, 6)
    assert (coarse.splits["val"].labels == fine.splits["val"].aux_labels).all()
    assert (coarse.splits["val"].aux_labels == fine.splits["val"].labels).all()
    fine.setup("fit")
    assert fine.class_counts == np.bincount(fine.splits["train"].labels, minlength=50).tolist()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"predict": {"texts": []}}, "predict.texts is empty"),
        ({"predict": {"texts": ["a", " "]}}, "predict.texts: number 2: the text is empty"),
        ({"predict": {"texts": ["a\ud800"]}}, "predict.texts: number 1: half a character"),
        ({"predict": {"texts": ["a"], "path": "b.txt"}}, "predict.path b.txt and predict.texts are both given"),
        ({"path": "a", "text": {"hub": "b"}}, "path a and text.hub b are both given"),
        ({"split": {"val_fraction": 0.0}}, "split.val_fraction must be above 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1"),
        ({"tokens": {"max_seq_len": 2, "special_tokens": True}}, "tokens.max_seq_len 2 leaves no room"),
        ({"tokens": {"pool_batches": 0}}, "tokens.pool_batches must be at least 1"),
        ({"split": {"seed": -1}}, "split.seed must be at least 0"),
        ({"labels": "both"}, "labels must be one of"),
    ],
)
def test_refused_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        QuestionsDataModule(**kwargs)


def test_a_folder_without_trecs_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^path .*: has no train_5500\.label"):
        _ = QuestionsDataModule(path=str(tmp_path)).splits
