"""Texts with a model's probabilities in place of a label: what a student learns from a teacher (Hinton et al. 2015)."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from datamodules.classification.examples import Examples
from datamodules.classification.labelled_files import text_fault
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded

TOLERANCE = 0.01  # by which probabilities may miss a sum of 1


def read_soft_labels(path: str, class_names: Sequence[str]) -> Examples:
    """The texts of a file of predictions, with the probabilities of the classes; their labels are the likeliest ones.

    Args:
        path: The ``predictions.jsonl`` of a classifier: an object a line, with ``text`` and ``probabilities`` by class.
        class_names: The classes, C.

    Raises:
        UserError: There is no such file, or a line has no text, or other classes.
    """
    file = expanded(path)
    if not file.is_file():
        raise UserError(f"soft_labels {path}: no such file; give the predictions.jsonl of seqlight predict")
    texts: list[str] = []
    rows: list[list[float]] = []
    with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                text, row = _read(line, class_names)
            except ValueError as error:
                raise UserError(f"soft_labels {path}: line {number}: {error}") from error
            texts.append(text)
            rows.append(row)
    if not texts:
        raise UserError(f"soft_labels {path}: is empty; give the predictions.jsonl of seqlight predict")
    probabilities = np.array(rows, dtype=np.float32)
    return Examples.of(texts, probabilities.argmax(1).tolist(), probabilities=probabilities)


def _read(line: str, class_names: Sequence[str]) -> tuple[str, list[float]]:
    try:
        row: Any = json.loads(line)
    except RecursionError as error:
        raise ValueError("is no JSON that can be read") from error
    if not isinstance(row, dict):
        raise ValueError(f"is no object but {type(row).__name__}")
    if fault := text_fault(row.get("text")):
        raise ValueError(fault)
    given = row.get("probabilities")
    if not isinstance(given, dict) or set(given) != set(class_names):
        names = ", ".join(class_names[:6]) + (" ..." if len(class_names) > 6 else "")
        raise ValueError(f"has no probabilities of the classes {names}; give predictions of a model with these classes")
    values = [given[name] for name in class_names]
    if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
        raise ValueError("its probabilities are not numbers from 0 to 1")
    if abs(sum(values) - 1) > TOLERANCE:
        raise ValueError(f"its probabilities have the sum {sum(values):.3f}, not 1")
    return row["text"].strip(), values
