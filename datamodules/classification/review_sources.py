"""Reads reviews from a table, from a collection's folder or zip, or from the hub."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from datamodules.classification.hub_tables import hub_table
from datamodules.classification.keras_imdb import read_imdb
from datamodules.classification.labelled_files import ENDINGS, read_table, text_fault
from datamodules.classification.review_folders import Review, read_reviews, without_breaks
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

MAX_CLASSES = 1000
HUB_SPLITS = {"train": "train", "validation": "val", "val": "val", "dev": "val", "test": "test"}


def reviews_at(
    path: str,
    test_path: str | None,
    text_column: str,
    label_column: str,
    encoding: str | None,
    split_column: str | None = None,
) -> list[Review]:
    """The reviews of a table (.csv, .tsv, .jsonl), of a collection's folder or zip, or of Keras' imdb.npz.

    Args:
        path: The table, folder, zip or .npz.
        test_path: A second one, whose reviews are the test data; what ``path`` has for a test is left out.
        text_column: Column of the text in a table.
        label_column: Column of its label.
        encoding: Of the files; by default UTF-8 and, for folders and zips, Latin-1 where a file is not UTF-8.
        split_column: Column of a row's split in a table; by default there is none.

    Raises:
        FileNotFoundError: There is no such file or folder.
        UserError: See :func:`read_table`, :func:`read_reviews` and :func:`read_imdb`.
    """
    reviews = []
    for place, name in ((path, "path"), (test_path, "test_path")):
        if place is None:
            continue
        if is_keras(place):
            part = read_imdb(place, name)
        elif Path(place).suffix.lower() in ENDINGS and not expanded(place).is_dir():
            found = read_table(place, name, text_column, label_column, encoding or "utf-8", split_column)
            rows = zip(found.texts, found.labels, found.splits, strict=True)
            part = [Review(without_breaks(text), label, split) for text, label, split in rows]
        else:
            part = read_reviews(place, encoding, name)
        if name == "test_path":
            for review in part:
                review.split = "test"
        elif test_path is not None and (tested := sum(review.split == "test" for review in part)):
            rank_zero_info(f"path {path}: its {tested:,} test rows are left out; test_path has others")
            part = [review for review in part if review.split != "test"]
        reviews += part
    return reviews


def is_keras(path: str | None) -> bool:
    """Whether a path means Keras' imdb.npz."""
    return path is not None and Path(path).suffix.lower() == ".npz"


def reviews_of_hub(hub: str, revision: str | None, text_column: str, label_column: str) -> list[Review]:
    """The reviews of a hub's data set; rows without a label (IMDb's "unsupervised") are left out.

    Raises:
        UserError: It cannot be loaded, or lacks the columns.
    """
    reviews = []
    table = hub_table(hub, revision, "without a network, give files with --data.path")
    for name, rows in table.items():
        if name not in HUB_SPLITS:
            continue
        for row in rows:
            if text_column not in row or label_column not in row:
                missing = text_column if text_column not in row else label_column
                raise UserError(
                    f"text.hub {hub}: has no column {missing!r} but {', '.join(row)}; give --data.text.column and "
                    "--data.text.label_column"
                )
            text, label = row[text_column], row[label_column]
            if label is not None and text_fault(text) is None:
                reviews.append(Review(without_breaks(text).strip(), str(label), HUB_SPLITS[name]))
    if not reviews:
        raise UserError(f"text.hub {hub}: has no rows with a text and a label in {', '.join(HUB_SPLITS)}")
    return reviews


def classes_of(reviews: Sequence[Review]) -> list[str]:
    """The labels that stand there, sorted; numbers by their size.

    Raises:
        UserError: There is one alone, or so many that they are no classes.
    """
    labels = {review.label for review in reviews}
    if len(labels) < 2:
        raise UserError(f"text.label_column: all labels are {labels.pop()!r}; classification needs two classes")
    if len(labels) > MAX_CLASSES:
        raise UserError(f"text.label_column: has {len(labels):,} different labels; at most {MAX_CLASSES:,} are read")
    whole = all(re.fullmatch(r"-?\d+", label) for label in labels)
    return sorted(labels, key=lambda label: (int(label), label)) if whole else sorted(labels)  # "1" and "01" are two


def of_classes(reviews: Sequence[Review], classes: Sequence[str]) -> list[Review]:
    """The reviews that are of some classes; others are counted in a warning and left out."""
    unknown = Counter(review.label for review in reviews if review.label not in classes)
    if unknown:
        shown = ", ".join(f"{label!r} {count:,} times" for label, count in unknown.most_common(5))
        rank_zero_warn(f"{unknown.total():,} rows are left out, whose labels are none of {', '.join(classes)}: {shown}")
    return [review for review in reviews if review.label in classes]
