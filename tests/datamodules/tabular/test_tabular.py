"""TabularDataModule: splits, CSV files and what is refused in them, rows to predict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import TabularDataModule
from datamodules.tabular.rows import TabularSplit
from datamodules.tabular.shapes import ShapeConfig

CSV = "width, height,kind\n1.5,2,cat\n-1e-1,3,dog\n\n0,4,cat\n7,5,dog\n8,6,cat\n9,7,dog\n"


def written(folder: Path, text: str = CSV, name: str = "animals.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_parts_are_apart_and_the_same_for_every_seed_of_a_run() -> None:
    parts = [TabularDataModule(points=ShapeConfig(size=200), seed=seed).parts for seed in (1, 2)]
    assert {name: len(rows) for name, rows in parts[0].items()} == {"test": 40, "val": 32, "train": 128}
    everything = torch.cat([rows.features for rows in parts[0].values()])
    assert len(everything.unique(dim=0)) == 200
    for name, rows in parts[0].items():
        assert torch.equal(rows.features, parts[1][name].features)
    other = TabularDataModule(points=ShapeConfig(size=200), split=TabularSplit(seed=1)).parts["test"]
    assert not torch.equal(other.features, parts[0]["test"].features)


def test_a_file_is_read_with_its_last_column_as_label(tmp_path: Path) -> None:
    data = TabularDataModule(written(tmp_path))
    assert (data.feature_names, data.class_names, data.label_column) == (["width", "height"], ["cat", "dog"], "kind")
    features, labels = data.all_rows
    np.testing.assert_array_equal(features, [[1.5, 2], [-0.1, 3], [0, 4], [7, 5], [8, 6], [9, 7]])
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]
    data.setup("fit")
    batch = data.train_set.__getitems__([0, 1])
    assert batch["features"].dtype == torch.float32
    assert batch["features"].shape == (2, 2)
    assert batch["labels"].dtype == torch.int64


def test_columns_are_named_by_the_user(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffclass\tb\ta\n10\t1\t2\n9\t3\t4\n10\t5\t6\n9\t7\t8\n", "t.tsv")
    data = TabularDataModule(path, label="class", features=["a"])
    assert (data.feature_names, data.class_names) == (["a"], ["9", "10"])  # sorted as numbers
    features, labels = data.all_rows
    assert (features.tolist(), labels.tolist()) == ([[2], [4], [6], [8]], [1, 0, 1, 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CSV.replace("3,dog", "x,dog"), "line 3, column 'height': 'x' is no finite number; mend or delete the row"),
        (CSV.replace("0,4", ",4"), "line 5, column 'width': the value is missing"),
        (CSV.replace("0,4", "nan,4"), "line 5, column 'width': 'nan' is no finite number"),
        (CSV.replace("0,4,cat", "0,4,"), "line 5, column 'kind': the value is missing"),
        (CSV.replace("0,4,cat", "0,4"), "line 5 has 2 values, but there are 3 columns"),
        ("1,2,0\n3,4,1\n", "line 1 holds the number 1; if it is a row, put a line with the columns' names before it"),
        ("1.5e+00,a\n3,4\n", "line 1 holds the number 1.5e+00"),
        ("a;b\n1,5;0\n", "line 1 separates the columns' names by ';'; save the table with commas"),
        ("a\tb\n1\t0\n", "with commas, and numbers with points, or call the file .tsv"),
        ("a,a,b\n1,2,0\n", "line 1 must give each column a name of its own"),
        ("a,b\n", "has no rows"),
        ("", "has no rows"),
        ('a,b\n"1,2\n', "line 2: a quote is not closed"),
        ("a,b\n1,0\n2,0\n", "column 'b' holds '0' alone; give two classes or more"),
        ("a,b\n1,0.1\n2,0.2\n3,0.3\n", "column 'b' has 3 different values in 3 rows, which are no classes"),
        ("b\n1\n1\n0\n0\n", "has no column beside the label 'b'"),
    ],
)
def test_a_bad_file_is_refused_by_line_and_column(tmp_path: Path, text: str, words: str) -> None:
    data = TabularDataModule(path := written(tmp_path, text))
    with pytest.raises(ValueError, match=r"animals\.csv") as refused:
        _ = (data.feature_names, data.class_names, data.all_rows)
    assert words in str(refused.value)
    assert path in str(refused.value)


def test_other_faults_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"path nowhere\.csv: no such file"):
        _ = TabularDataModule("nowhere.csv").class_names
    with pytest.raises(ValueError, match="line 1 names no column 'sort' but width, height, kind"):
        _ = TabularDataModule(path, label="sort").class_names
    with pytest.raises(ValueError, match="line 3, column 'kind': 'dog' is none of the classes cat, cow"):
        _ = TabularDataModule(path, classes=["cat", "cow"]).all_rows
    with pytest.raises(ValueError, match="label kind is given without path"):
        TabularDataModule(label="kind")
    with pytest.raises(ValueError, match="split leaves no row for val, of 6 rows"):
        TabularDataModule(path, split=TabularSplit(val_fraction=0.01)).setup("fit")


def test_rows_to_predict_need_no_data(tmp_path: Path) -> None:
    data = TabularDataModule(written(tmp_path))
    _ = (data.feature_names, data.class_names)
    (tmp_path / "animals.csv").unlink()
    other = written(tmp_path, "height,name,width\n2,Tom,1\n", "new.csv")
    for predict in ({"rows": [[1.0, 2.0]]}, {"path": other}):
        again = TabularDataModule(**{**data.hparams, "predict": predict})  # as from a checkpoint
        again.setup("predict")
        assert again.predict_set.features.tolist() == [[1.0, 2.0]]
        assert "labels" not in again.predict_set.__getitems__([0])
        assert again.class_names == ["cat", "dog"]


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        ({"rows": []}, "predict.rows is empty"),
        ({"rows": [[1.0]]}, r"predict.rows: row 1 is \[1.0\]; give 2 finite numbers: x, y"),
        ({"rows": [[1.0, 2.0], [1.0, float("nan")]]}, "predict.rows: row 2"),
        ({"rows": [[1.0, 2.0]], "path": "a.csv"}, "predict.path a.csv and predict.rows are both given"),
    ],
)
def test_bad_rows_to_predict_are_refused(predict: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TabularDataModule(predict=predict).setup("predict")  # type: ignore[arg-type]


def test_columns_and_classes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 3},{n % 2}\n" for n in range(40))
    path = written(tmp_path, f"x,y,c\n{rows}")
    for settings, message in (
        ({"features": ["x", "c"]}, "features: 'c' is the column of the label"),
        ({"features": ["x", "x"]}, "name a column twice"),
        ({"classes": ["0", "1", "1"]}, "name a class twice"),
    ):
        with pytest.raises(ValueError, match=message):
            _ = TabularDataModule(path, **settings).parts
    with pytest.raises(ValueError, match="are not two"):
        _ = TabularDataModule(features=["x"]).feature_names
    with pytest.raises(ValueError, match=r"are not the 5 that points\.shape spirals has"):
        _ = TabularDataModule(classes=["0", "1", "2"], points=ShapeConfig("spirals", arms=5)).class_names


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([f"{1e39:f}"] + ["1"] * 9, "is no finite number"),
        ([str(20240101 + n) for n in range(10)], "column 'x' has numbers whose differences are small beside them"),
        ([str(1_700_000_000_000 + 60_000 * n) for n in range(10)], "column 'x' has numbers whose differences"),
    ],
)
def test_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path, cells: list[str], message: str) -> None:
    path = written(tmp_path, "x,c\n" + "".join(f"{cell},{n % 2}\n" for n, cell in enumerate(cells)))
    with pytest.raises(ValueError, match=message):
        _ = TabularDataModule(path).parts


def test_large_numbers_that_differ_enough_are_taken(tmp_path: Path) -> None:
    rows = "".join(f"{1_000_000 + 1000 * n},7,{n % 2}\n" for n in range(20))  # a constant column too
    assert len(TabularDataModule(written(tmp_path, f"x,y,c\n{rows}")).parts["train"]) > 0
