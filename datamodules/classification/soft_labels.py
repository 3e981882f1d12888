"""Texts with a model's probabilities in place of a label: what a student learns from a teacher (Hinton et al. 2015)."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from datamodules.classification.examples import Examples
from datamodules.classification.labelled_files import MAX_BYTES, text_fault
from seqlight.core.encodings import decoded, lines_of
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.labels import first_of

TOLERANCE = 0.01  # by which probabilities may miss a sum of 1, rounded as they are
REMEDY = "give the predictions.jsonl that seqlight predict writes for a classifier"


def read_soft_labels(path: str, class_names: Sequence[str]) -> Examples:
    """The texts of a file of predictions, with the probabilities of the classes; their labels are the likeliest ones.

    Args:
        path: The ``predictions.jsonl`` of a classifier: an object a line, with ``text`` and ``probabilities`` by class.
        class_names: The classes, C.

    Raises:
        UserError: There is no such file, it is too large, or a line has no text, or other classes.
    """
    file = expanded(path)
    if not file.is_file():
        raise UserError(f"soft_labels_path {path}: no such file; {REMEDY}")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"soft_labels_path {path}: is larger than {MAX_BYTES / 1e9:.0f} GB; give a part of it")
    texts: list[str] = []
    rows: list[np.ndarray] = []
    # Bytes that UTF-8 does not have become surrogates, by which the text that has them is found.
    for number, line in enumerate(lines_of(decoded(file.read_bytes(), "utf-8", "surrogateescape")), 1):
        if line.strip():
            try:
                text, row = _read(line, class_names)
            except ValueError as error:
                raise UserError(f"soft_labels_path {path}: line {number}: {error}; {REMEDY}") from error
            texts.append(text)
            rows.append(row)
    if not texts:
        raise UserError(f"soft_labels_path {path}: is empty; {REMEDY}")
    probabilities = np.stack(rows)
    return Examples.of(texts, probabilities.argmax(1).tolist(), probabilities=probabilities)


def _read(line: str, class_names: Sequence[str]) -> tuple[str, np.ndarray]:
    """The text of a line, and its probabilities (C,), which add up to 1.

    Raises:
        ValueError: What is wrong with it.
    """
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON ({str(error)[:80]})") from error
    if not isinstance(row, dict):
        raise ValueError(f"no object but {type(row).__name__}")
    if fault := text_fault(row.get("text")):
        raise ValueError(fault)
    given = row.get("probabilities")
    if not isinstance(given, dict):
        raise ValueError("there are no probabilities of the classes")
    if set(given) != set(class_names):
        raise ValueError(f"its classes are {first_of(sorted(given))}, and those of the data {first_of(class_names)}")
    values = [given[name] for name in class_names]
    if not all(type(value) in (int, float) and 0 <= value <= 1 for value in values):
        raise ValueError("its probabilities are not numbers from 0 to 1")
    total = sum(values)
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"its probabilities have the sum {total:.3f}, not 1")
    return row["text"].strip(), np.array(values, dtype=np.float32) / np.float32(total)
