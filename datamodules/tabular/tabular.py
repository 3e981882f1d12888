"""Rows of numbers with a class each: points in the plane, or any CSV file."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from datamodules.base import SequenceDataModule
from datamodules.tabular.csv_table import MOST, Table, read_csv
from datamodules.tabular.rows import Rows, TabularSplit
from datamodules.tabular.shapes import FEATURES, ShapeConfig, make_points
from seqlight.core.errors import UserError
from seqlight.core.hyperparameters import group_from, refuse_both

LOST = 1e-2  # of a column's standard deviation, which rounding may be
ROWS_A_CLASS = 2  # mean below which a column of labels is taken for one of measurements


@dataclass(frozen=True)
class TabularPredict:
    """Rows for predict.

    Attributes:
        rows: The rows, each a list of numbers in the order of the features. Default: the rows of the test.
        path: CSV file of the rows in their place. It has at least the columns that the model was trained with.

    Raises:
        UserError: Both are given, or there is no row.
    """

    rows: list[list[float]] | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        refuse_both("predict.path", self.path, "predict.rows", self.rows)
        if self.rows is not None and not self.rows:
            raise UserError("predict.rows is empty; give some, such as [[0.5, -0.2]]")


class TabularDataModule(SequenceDataModule):
    """Rows of numbers with a class each: points in the plane that are made on the fly, or a CSV file.

    Batches hold the numbers as they are. The model standardises them by the training rows alone.

    Args:
        path: CSV file (.csv, or .tsv with tabs) whose first line names the columns. Each cell but the label must be a
            finite number; the label may be any word. Default: the points of ``points``.
        label: Column of the label. Default: the last column.
        features: Columns that are read, in this order. Default: all but the label. A checkpoint has them.
        classes: The labels, in the order of their numbers. Default: those that occur, sorted. A checkpoint has them.
        points: Points that are made where there is no path.
        split: Validation and test.
        batch_size: Rows in a batch of one process.
        predict: Rows for predict.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        seed: Seed of the training rows' order. Default: the run's seed (--seed_everything).

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        path: str | None = None,
        label: str | None = None,
        features: list[str] | None = None,
        classes: list[str] | None = None,
        points: ShapeConfig = ShapeConfig(),
        split: TabularSplit = TabularSplit(),
        batch_size: int = 32,
        predict: TabularPredict = TabularPredict(),
        num_workers: int = 0,
        seed: int | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers, seed)
        self.save_hyperparameters()
        if path is None and label is not None:
            raise UserError(f"label {label} is given without path; give the CSV file that has this column")
        self.path, self.label, self.features, self.classes = path, label, features, classes
        self.shape, self.split = group_from(ShapeConfig, points), group_from(TabularSplit, split)
        self.predict = group_from(TabularPredict, predict)

    @cached_property
    def table(self) -> Table:
        """The file, read at first use."""
        assert self.path is not None
        return read_csv(self.path, "path")

    @property
    def label_column(self) -> str:
        """Name of the column of labels."""
        return self.label or self.table.header[-1]

    @cached_property
    def feature_names(self) -> list[str]:
        """The columns of numbers. Those of a file go into the hyperparameters, so that predict needs no data."""
        names = self.features
        if names is None:
            names = FEATURES if self.path is None else [n for n in self.table.header if n != self.label_column]
            self.hparams["features"] = list(names)
        if len(set(names)) < len(names):
            raise UserError(f"features {names} name a column twice; leave it out once")
        if self.path is None and len(names) != len(FEATURES):
            raise UserError(f"features {names} are not two, as the points of points.shape {self.shape.shape} have")
        if not names:
            raise UserError(f"features: {self.path} has no column beside the label {self.label_column!r}")
        return list(names)

    @cached_property
    def class_names(self) -> list[str]:
        """The labels. Those of a file go into the hyperparameters, so that predict needs no data."""
        names = self.classes
        if names is None:
            if self.path is None:
                names = list(map(str, range(self.shape.num_classes)))
            else:
                names = classes_of(self.table, self.label_column)
            self.hparams["classes"] = names
        if len(set(names)) < len(names):
            raise UserError(f"classes {names} name a class twice; leave it out once")
        if self.path is None and len(names) != self.shape.num_classes:
            raise UserError(
                f"classes {names} are not the {self.shape.num_classes} that points.shape {self.shape.shape} has; leave "
                "them out, or train a new model"
            )
        return list(names)

    @cached_property
    def all_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D) and labels (N,) of all rows.

        Raises:
            UserError: The file has a cell without a number, or a label that is none of the classes.
        """
        if self.path is None:
            return make_points(self.shape)
        if self.label_column in self.feature_names:
            raise UserError(f"features: {self.label_column!r} is the column of the label; leave it out")
        features, labels = self.table.numbers(self.feature_names), self.table.column(self.label_column)
        check_float32(features, self.feature_names, self.table.where)
        number = {name: i for i, name in enumerate(self.class_names)}
        for line, label in zip(self.table.lines, labels, strict=True):
            if label not in number:
                raise UserError(
                    f"{self.table.where}: line {line}, column {self.label_column!r}: {label!r} is none of the classes "
                    f"{', '.join(self.class_names)}"
                )
        return features, np.array([number[label] for label in labels])

    @cached_property
    def parts(self) -> dict[str, Rows]:
        """The rows of "train", "val" and "test"."""
        features, labels = self.all_rows
        return {name: Rows(features[rows], labels[rows]) for name, rows in self.split.parts(len(features)).items()}

    def points(self, part: str) -> tuple[Tensor, Tensor]:
        """Features (N, D) and labels (N,) of "train", "val" or "test"."""
        rows = self.parts[part]
        assert rows.labels is not None
        return rows.features, rows.labels

    def setup(self, stage: str) -> None:
        """Reads what the stage needs; rows to predict need no file of labelled ones."""
        super().setup(stage)
        if stage == "predict":
            self.predict_set = self._predict_rows()
        else:
            self.train_set, self.val_set, self.test_set = (self.parts[name] for name in ("train", "val", "test"))

    def _predict_rows(self) -> Rows:
        config, names = self.predict, self.feature_names
        if config.path is not None:
            return Rows(read_csv(config.path, "predict.path").numbers(names))
        if config.rows is None:
            return self.parts["test"]
        for number, row in enumerate(config.rows, start=1):
            if len(row) != len(names) or not np.isfinite(row).all() or np.abs(row).max() > MOST:
                raise UserError(
                    f"predict.rows: row {number} is {row}; give {len(names)} finite numbers: {', '.join(names)}"
                )
        return Rows(np.array(config.rows))


def check_float32(features: np.ndarray, names: list[str], where: str) -> None:
    """Refuses columns of (N, D) whose differences are lost in float32, in which the models compute.

    Raises:
        UserError: The message names the column.
    """
    lost = (features - features.astype(np.float32)).std(axis=0)
    for name, error, spread in zip(names, lost, features.std(axis=0), strict=True):
        if error > LOST * spread:
            raise UserError(
                f"{where}: column {name!r} has numbers whose differences are small beside them, as those of dates are; "
                "subtract the smallest from each"
            )


def classes_of(table: Table, column: str) -> list[str]:
    """The labels that occur, sorted, as numbers where all are.

    Raises:
        UserError: There is one alone, or nearly as many as rows.
    """
    counts = Counter(table.column(column))
    if len(counts) < 2:
        raise UserError(
            f"{table.where}: column {column!r} holds {next(iter(counts))!r} alone; give two classes or more"
        )
    if len(counts) * ROWS_A_CLASS > len(table.rows):
        raise UserError(
            f"{table.where}: column {column!r} has {len(counts)} different values in {len(table.rows)} rows, which are "
            "no classes; name the column of the label by --data.label"
        )
    try:
        return sorted(counts, key=float)
    except ValueError:
        return sorted(counts)
