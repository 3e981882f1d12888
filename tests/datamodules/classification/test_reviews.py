"""Reviews from tables, folds, classes saved in a checkpoint, and invalid arguments."""

import json
import warnings
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.review_files import IMDB, LONG, SENTENCES, as_folder, as_zip

from datamodules import ReviewsDataModule
from datamodules.classification import review_sources
from datamodules.classification.groups import TextConfig
from datamodules.classification.review_folders import Review
from datamodules.classification.review_sources import classes_of
from datamodules.classification.review_templates import synthetic_reviews
from datamodules.classification.reviews import ReviewSplit
from datamodules.tokenizers import save


@pytest.mark.parametrize("pack", [as_zip, as_folder])
def test_the_layout_of_imdb(tmp_path: Path, pack: Any) -> None:
    data = ReviewsDataModule(path=pack(IMDB, tmp_path / "imdb"), vocab_size=200)
    assert data.class_names == ["neg", "pos"]
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 36, "val": 4, "test": 40}
    assert all(text.startswith("test ") for text in data.splits["test"].texts)
    assert not any("<br" in text or "unknown" in text for part in data.splits.values() for text in part.texts)
    assert np.bincount(data.splits["val"].labels).tolist() == [2, 2]
    with pytest.raises(ValueError, match=r"^split.fold 1: these texts have a test of their own"):
        _ = ReviewsDataModule(path=str(tmp_path / "imdb"), split=ReviewSplit(fold=1)).splits


def folds(path: str, **split: Any) -> list[dict[str, Any]]:
    return [
        ReviewsDataModule(path=path, split=ReviewSplit(fold=fold, **split)).splits  # type: ignore[misc]
        for fold in range(1, 11)
    ]


@pytest.mark.parametrize("by", ["stratified", "number"])
def test_ten_folds_test_every_review_once(tmp_path: Path, by: str) -> None:
    found = folds(path=as_zip(LONG, tmp_path / "a.zip"), fold_by=by)
    tested = [text for splits in found for text in splits["test"].texts]
    assert len(tested) == len(set(tested)) == 100
    for number, splits in enumerate(found):
        texts = {name: set(part.texts) for name, part in splits.items()}
        assert {name: len(part) for name, part in texts.items()} == {"train": 81, "val": 9, "test": 10}
        assert not texts["train"] & texts["test"]
        assert not texts["val"] & (texts["train"] | texts["test"])
        assert np.bincount(splits["test"].labels).tolist() == [5, 5]
        if by == "number":  # cv000 to cv099 are fold 1
            assert {int(text.split()[2]) // 100 for text in texts["test"]} == {number}


def test_testing_on_training_texts_of_the_checkpoint_warns(tmp_path: Path) -> None:
    repeated = LONG | {"movies/pos/cv999_1.txt": LONG["movies/pos/cv000_0.txt"]}
    path = as_zip(repeated, tmp_path / "a.zip")

    def data(stage: str, **changes: Any) -> ReviewsDataModule:
        made = ReviewsDataModule(path=path, split=ReviewSplit(**{"fold": 1, "fold_by": "number", **changes}))
        made.setup(stage)
        return made

    state = data("fit").state_dict()
    with warnings.catch_warnings():  # what the collection itself holds twice is told in training
        warnings.simplefilter("error")
        data("test").load_state_dict(state)
        data("validate").load_state_dict(state)
        data("fit").load_state_dict(state)
        data("predict", fold=2).load_state_dict(state)
    with pytest.warns(UserWarning, match=r"^the checkpoint was trained on [89] of these 10 test reviews: "):
        data("test", fold=2).load_state_dict(state)
    with pytest.warns(UserWarning, match=r"^the checkpoint was trained on [6-9] of these 9 val reviews: "):
        data("validate", seed=5).load_state_dict(state)
    gone_on, other = data("fit"), data("fit", fold=3, val_fraction=0.5)
    with pytest.warns(UserWarning, match=" val reviews: "):
        gone_on.load_state_dict(other.state_dict())
    with pytest.warns(UserWarning, match=" test reviews: "):  # it knows the texts of both
        data("test").load_state_dict(gone_on.state_dict())


def test_folds_by_number_need_numbers(tmp_path: Path) -> None:
    path = as_zip(SENTENCES, tmp_path / "a.zip")
    with pytest.raises(ValueError, match=r"^split.fold_by number needs files named cv000"):
        folds(path=path, fold_by="number")
    again, other = folds(path=path)[3], folds(path=path, seed=1)[3]
    assert folds(path=path)[3]["test"].texts == again["test"].texts
    assert other["test"].texts != again["test"].texts


def csv_file(tmp_path: Path, name: str = "a.csv", labels: tuple[str, ...] = ("10", "9", "2")) -> str:
    lines = ["id,stars,review"] + [f'{i},{labels[i % len(labels)]},"text, number {i} <br /> ."' for i in range(60)]
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    return str(tmp_path / name)


TABLE = TextConfig(column="review", label_column="stars")


def test_any_csv_file(tmp_path: Path) -> None:
    data = ReviewsDataModule(path=csv_file(tmp_path), text=TABLE, split=ReviewSplit(0.25, test_fraction=0.2))
    assert data.class_names == ["2", "9", "10"]
    assert {name: len(part) for name, part in data.splits.items()} == {"train": 36, "val": 12, "test": 12}
    assert all(np.ptp(np.bincount(part.labels)) == 0 for part in data.splits.values())
    for part in data.splits.values():
        for text, label in zip(part.texts, part.labels, strict=True):
            assert ("10", "9", "2")[int(text.split()[2]) % 3] == data.class_names[label]
    assert "<br" not in data.splits["train"].texts[0]


def test_a_test_file_with_a_label_that_training_lacks(tmp_path: Path) -> None:
    path, test = csv_file(tmp_path), csv_file(tmp_path, "test.csv", ("2", "9"))
    with (tmp_path / "test.csv").open("a") as file:
        file.write('7,,"no label"\n8,5,"a stranger"\n9,2,"the last"\n10,2,"never closed\n')
    data = ReviewsDataModule(path=path, test_path=test, classes=["2", "9", "10"], text=TABLE)
    with pytest.warns(UserWarning, match="rows are left out") as told:
        splits = data.splits
    assert [str(warning.message).partition(": ")[2] for warning in told] == [
        "2 rows are left out: line 62: the label is empty; line 65: a quote is not closed",
        "'5' 1 times",
    ]
    assert len(splits["test"]) == 61
    assert splits["test"].texts[-1] == "the last"
    assert len(splits["train"]) + len(splits["val"]) == 60


def test_json_lines(tmp_path: Path) -> None:
    lines = [f'{{"review": "text {i}", "stars": {i % 2}}}' for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, '{"review": "x", "stars": [1]}', '{"review": "x"}']))
    data = ReviewsDataModule(path=str(tmp_path / "a.jsonl"), text=TABLE)
    with pytest.warns(
        UserWarning, match=r"2 rows are left out: line 41: stars is no word and no whole number; line 42"
    ):
        assert data.class_names == ["0", "1"]
    assert all(int(text.split()[1]) % 2 == label for text, label in zip(*_rows(data), strict=True))


def test_integers_written_as_floats_are_labels_and_every_invalid_row_is_named(tmp_path: Path) -> None:
    lines = [f'{{"review": "text {i}", "stars": {i % 2}.0}}' for i in range(40)]
    wrong = ['{"review": "x", "stars": 0.5}', *['{"review": "", "stars": 1}'] * 12]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, *wrong]))
    data = ReviewsDataModule(path=str(tmp_path / "a.jsonl"), text=TABLE)
    with pytest.warns(UserWarning, match=r"13 rows .*; line 50: the text is empty; and line 51, line 52, line 53$"):
        assert data.class_names == ["0", "1"]
    assert all(int(text.split()[1]) % 2 == label for text, label in zip(*_rows(data), strict=True))


def _rows(data: ReviewsDataModule) -> tuple[list[str], list[int]]:
    return data.splits["train"].texts, data.splits["train"].labels.tolist()


def test_classes_are_saved_so_that_predict_needs_no_data(tmp_path: Path) -> None:
    data = ReviewsDataModule(path=csv_file(tmp_path), text=TABLE, vocab_size=100)
    assert data.num_classes == 3
    assert data.hparams["classes"] == ["2", "9", "10"]
    save(data.tokenizer, tmp_path / "tokenizer")
    saved = dict(data.hparams) | {"path": str(tmp_path / "gone.csv"), "tokenizer_path": str(tmp_path / "tokenizer")}
    later = ReviewsDataModule(**saved | {"predict": {"texts": ["text<br />number"]}})
    assert later.class_names == ["2", "9", "10"]
    later.setup("predict")
    (batch,) = later.predict_dataloader()
    assert batch["texts"] == ["text<br />number"]  # as it was given
    assert later.tokenizer.decode(batch["input_ids"][0].tolist()) == "text number"  # as training texts were read
    with pytest.raises(FileNotFoundError, match=r"^path .*gone\.csv: no such file"):
        later.setup("test")


def test_the_synthetic_reviews_are_balanced_and_always_the_same() -> None:
    train, test = synthetic_reviews()
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([500, 500], [200, 200])
    assert synthetic_reviews()[0].texts == train.texts
    assert not any("{" in text for text in train.texts + test.texts)
    data = ReviewsDataModule(vocab_size=300)
    data.setup("fit")
    assert data.class_counts == [450, 450]
    assert sum(batch["labels"].sum() for batch in data.train_dataloader()) == 450


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"path": "a", "text": {"hub": "b"}}, "path a and text.hub b are both given"),
        ({"test_path": "a"}, "test_path a is given without path"),
        ({"classes": ["a", "a"]}, "classes must be two or more different labels"),
        ({"split": {"fold": 11}}, "split.fold must be at least 1 and at most 10, not 11"),
        ({"split": {"folds": 1}}, "split.folds must be at least 2"),
        ({"split": {"val_fraction": 0.5, "test_fraction": 0.5}}, "split.test_fraction must be above 0 and below 0.5"),
    ],
)
def test_refused_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        ReviewsDataModule(**kwargs)


def test_refused_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"^text.label_column: all labels are '3'"):
        _ = ReviewsDataModule(path=csv_file(tmp_path, labels=("3",)), text=TABLE).num_classes
    monkeypatch.setattr(review_sources, "MAX_CLASSES", 2)
    with pytest.raises(ValueError, match=r"^text.label_column: has 3 different labels; at most 2"):
        _ = ReviewsDataModule(path=csv_file(tmp_path), text=TABLE).num_classes
    (tmp_path / "a.txt").write_text("a text\n")
    with pytest.raises(ValueError, match=r"^path .*a\.txt: a text file has no labels"):
        _ = ReviewsDataModule(path=str(tmp_path / "a.txt")).num_classes


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_column_says_the_split_of_each_row(ending: str, tmp_path: Path) -> None:
    rows = [(f"film {i}", ("good", "bad")[i % 2], i >= 8) for i in range(12)]
    path = tmp_path / f"reviews{ending}"
    if ending == ".csv":  # as fastai writes it
        path.write_text("label,text,is_valid\n" + "".join(f"{label},{text},{held}\n" for text, label, held in rows))
    else:
        objects = [{"text": text, "label": label, "is_valid": held} for text, label, held in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in objects))
    config = TextConfig(split_column="is_valid")
    data = ReviewsDataModule(path=str(path), text=config, split=ReviewSplit(test_fraction=0.25))
    assert data.splits["val"].texts == ["film 8", "film 9", "film 10", "film 11"]
    assert [len(data.splits[name]) for name in ("train", "test")] == [6, 2]  # the test is from the other rows alone
    assert not set(data.splits["test"].texts) & set(data.splits["val"].texts)


def test_splits_by_name_are_kept_and_others_are_named(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    splits = ["train", "Train", "dev", "valid", "test", "test", "later"]
    lines = [f"film {i},{('good', 'bad')[i % 2]},{split}" for i, split in enumerate(splits)]
    path.write_text("\n".join(["text,label,split", *lines]))
    data = ReviewsDataModule(path=str(path), text=TextConfig(split_column="split"))
    with pytest.warns(UserWarning, match=r"1 rows are left out: line 8: the split is 'later', and not train, val, te"):
        found = {name: part.texts for name, part in data.splits.items()}
    assert found == {"train": ["film 0", "film 1"], "val": ["film 2", "film 3"], "test": ["film 4", "film 5"]}
    assert data.class_table().split("\n") == [
        "class   train     val    test", "bad         1       1       1", "good        1       1       1"
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"names no column 'is_valid' but .*give --data.text.split_column"):
        _ = ReviewsDataModule(path=str(path), text=TextConfig(split_column="is_valid")).splits


def test_other_test_data_leave_validation_as_it_is(tmp_path: Path) -> None:
    names = ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    lines = [f"text number {n},{'ab'[n % 2]},{name}" for n, name in enumerate(names)]
    (tmp_path / "all.csv").write_text("text,label,split\n" + "\n".join(lines) + "\n")
    (tmp_path / "test.csv").write_text("text,label,split\nmine,a,train\nmine too,b,train\n")
    data = ReviewsDataModule(
        str(tmp_path / "all.csv"), str(tmp_path / "test.csv"), text=TextConfig(split_column="split")
    )
    texts = {name: sorted(part.texts) for name, part in data.as_read.items()}
    assert texts["train"] == [f"text number {n}" for n in range(6)]
    assert texts["val"] == [f"text number {n}" for n in range(6, 10)]
    assert texts["test"] == ["mine", "mine too"]


def test_labels_that_are_the_same_number_have_one_order() -> None:
    labels = ["2", "01", "1", "-3"]
    for order in permutations(labels):
        assert classes_of([Review("x", label) for label in order]) == ["-3", "01", "1", "2"]
    assert classes_of([Review("x", label) for label in ("--5", "4")]) == ["--5", "4"]
