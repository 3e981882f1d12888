"""Reads texts, with or without labels, from CSV, JSON lines and plain text. Invalid rows are logged and skipped."""

import json
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn

from seqlight.core.encodings import decoded, lines_of
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.table_rows import table_rows

MAX_BYTES = 1_000_000_000  # of one file; all of IMDb has 66 MB
MAX_TEXT = 100_000  # characters of one text, six times IMDb's longest
SHOWN = 10  # invalid rows that a warning explains; of the others it names only the line
SPLITS = {
    **dict.fromkeys(("train", "training", "false", "no", "0"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "true", "yes", "1"), "val"),
    "test": "test",
}  # by what a column of splits says; true and false are those of a column such as is_valid
ENDINGS = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": "", ".txt": ""}


@dataclass
class Found:
    """The rows of a file.

    Attributes:
        texts: The texts, white space around them removed.
        labels: Their labels as the file has them, "" if the file is read without labels.
        splits: "train", "val" or "test" of each; None if the file is read without splits.
        rows: Number of each row in the file, from 0 on; invalid rows are counted too.
        lines: Line that each begins on, from 1 on.
        problems: A line for each invalid row: "line 3: ...".
    """

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, row: int, line: int, text: Any, label: str | None = None, split: str | None = None) -> None:
        """Adds a row, or a problem if its text, label or split is invalid (None: it needs no label, or no split)."""
        fault = "the label is empty" if label == "" else text_fault(text)
        if split is not None and split.lower() not in SPLITS:
            fault = f"the split is {split[:40]!r}, and not train, val, test, true or false"
        if fault:
            self.problems.append(f"line {line}: {fault}")
        else:
            self.texts.append(text.strip())
            self.labels.append(label or "")
            self.splits.append(None if split is None else SPLITS[split.lower()])
            self.rows.append(row)
            self.lines.append(line)


def text_fault(text: Any) -> str | None:
    """Why a text cannot be used; None if it can."""
    if not isinstance(text, str):
        return "the text is missing" if text is None else f"the text is no string but {type(text).__name__}"
    if not text.strip():
        return "the text is empty"
    if len(text) > MAX_TEXT:
        return f"the text has {len(text):,} characters; at most {MAX_TEXT:,} are read"
    if (bad := next((c for c in text if "\ud800" <= c <= "\udfff"), None)) is not None:
        byte = ord(bad) - 0xDC00
        return (
            f"byte 0x{byte:02X} does not belong to the encoding" if byte in range(0x80, 0x100) else "half a character"
        )
    return None


def read_table(
    path: str,
    name: str,
    text_column: str = "text",
    label_column: str | None = None,
    encoding: str = "utf-8",
    split_column: str | None = None,
) -> Found:
    """The rows of a CSV (.csv, or .tsv with tabs), JSON lines (.jsonl) or text (.txt, a text on each line) file.

    Args:
        path: The file. CSV has the columns' names in its first line; JSON lines have an object each.
        name: Argument that named it, for messages.
        text_column: Column, or key, of the text.
        label_column: Column, or key, of the label; None where labels are not wanted.
        encoding: Of the file.
        split_column: Column, or key, of the split; None where splits are not wanted.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: Its ending is none of these, it is too large, lacks the columns, or has not one proper row.
    """
    file = expanded(path)
    kind = file.suffix.lower()
    if not file.is_file():
        raise FileNotFoundError(f"{name} {path}: no such file")
    if kind not in ENDINGS:
        raise UserError(f"{name} {path}: its ending tells nothing; give one of {', '.join(ENDINGS)}")
    if kind == ".txt" and label_column is not None:
        raise UserError(f"{name} {path}: a text file has no labels; give a .csv or a .jsonl")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{name} {path}: is larger than {MAX_BYTES / 1e9:.0f} GB; give a part of it")
    found = Found()
    try:
        # Bytes that the encoding does not have become surrogates, by which the row that has them is found.
        content = file.read_bytes()
        lines = lines_of(decoded(content, encoding, "surrogateescape"))
        if ENDINGS[kind]:
            _read_csv(list(lines), ENDINGS[kind], text_column, label_column, split_column, found)
        else:
            for row, line in enumerate(lines):
                if kind == ".txt":
                    found.add(row, row + 1, line)
                elif line.strip():
                    _read_json(row, line, text_column, label_column, split_column, found)
    except (UnicodeError, LookupError) as error:
        raise UserError(f"{name} {path}: cannot be read as {encoding} ({error}); give --data.text.encoding") from error
    except _MissingColumnError as error:
        raise UserError(f"{name} {path}: {error}") from error
    check_found(found, f"{name} {path}")
    return found


def check_found(found: Found, where: str) -> None:
    """Warns of the rows that are wrong; raises UserError if nothing else is there."""
    if found.problems:
        shown = "; ".join(found.problems[:SHOWN])
        if others := found.problems[SHOWN:]:
            shown += "; and " + ", ".join(problem.partition(":")[0] for problem in others)
        if not found.texts:
            raise UserError(f"{where}: has not one proper row ({shown})")
        rank_zero_warn(f"{where}: {len(found.problems)} rows are left out: {shown}")
    elif not found.texts:
        raise UserError(f"{where}: is empty; give a file with texts in it")


class _MissingColumnError(Exception):
    pass


def _read_csv(
    lines: list[str],
    delimiter: str,
    text_column: str,
    label_column: str | None,
    split_column: str | None,
    found: Found,
) -> None:
    rows = table_rows(lines, delimiter)
    _, header = next(rows, (1, []))
    if isinstance(header, str):
        raise _MissingColumnError(f"line 1: {header}")
    header = [cell.strip() for cell in header]
    if header:
        header[0] = header[0].strip('"')
    places = {}
    wanted = {"column": text_column, "label_column": label_column, "split_column": split_column}
    for option, column in wanted.items():
        if column is not None and column not in header:
            raise _MissingColumnError(f"line 1 names no column {column!r} but {header}; give --data.text.{option}")
        if column is not None and header.count(column) > 1:
            raise _MissingColumnError(f"line 1 names two columns {column!r}; give each a name of its own")
        places[option] = None if column is None else header.index(column)
    for row, (line, cells) in enumerate(rows):
        if isinstance(cells, str) or len(cells) != len(header):
            fault = cells if isinstance(cells, str) else f"{len(cells)} columns instead of {len(header)}"
            found.problems.append(f"line {line}: {fault}")
        else:
            text, label, split = (None if place is None else cells[place] for place in places.values())
            found.add(row, line, text, label and label.strip(), split and split.strip())


def _read_json(
    row: int, line: str, text_column: str, label_column: str | None, split_column: str | None, found: Found
) -> None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:  # JSONDecodeError is a ValueError; so is a number of too many digits
        found.problems.append(f"line {row + 1}: no JSON ({str(error)[:80]})")
        return
    if not isinstance(content, dict):
        found.problems.append(f"line {row + 1}: no object but {type(content).__name__}")
        return
    label = None if label_column is None else content.get(label_column)
    if isinstance(label, float) and label.is_integer():  # as programs write whole numbers where some are missing
        label = int(label)
    if label_column is not None and not isinstance(label, str | int):
        found.problems.append(f"line {row + 1}: {label_column} is no word and no whole number")
        return
    split = None if split_column is None else str(content.get(split_column)).strip()
    found.add(row, row + 1, content.get(text_column), None if label is None else str(label).strip(), split)
