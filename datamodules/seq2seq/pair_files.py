"""Reads pairs of texts from two parallel files, from CSV, TSV and JSON lines, each plain or as .gz."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from seqlight.core.encodings import decoded, known_encoding, lines_of
from seqlight.core.errors import UserError
from seqlight.core.table_rows import table_rows

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
SHOWN = 5  # line numbers that a warning names


@dataclass
class Pairs:
    """N texts with their translations.

    Attributes:
        sources: The texts to read.
        targets: The texts to write.
        lines: Line, or row, that each pair is on, from 1 on (N,).
        where: The file or files, for messages.
    """

    sources: list[str]
    targets: list[str]
    lines: np.ndarray
    where: str

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: np.ndarray) -> "Pairs":
        """The pairs of the given row numbers, in that order."""
        sources, targets = ([side[row] for row in rows] for side in (self.sources, self.targets))
        return Pairs(sources, targets, self.lines[rows], self.where)

    def leave_out(self, chosen: np.ndarray, why: str) -> "Pairs":
        """The pairs that are not chosen (N,); one warning says how many are, on which lines, and why."""
        self.warn_of(chosen, f"{why} and are left out")
        return self.take(np.flatnonzero(~chosen)) if chosen.any() else self

    def warn_of(self, chosen: np.ndarray, what: str) -> None:
        """One warning that says how many pairs are chosen (N,), on which lines, and what of them; none if none are."""
        if chosen.any():
            lines = self.lines[chosen]
            shown = ", ".join(map(str, lines[:SHOWN])) + (", ..." if len(lines) > SHOWN else "")
            rank_zero_warn(f"{self.where}: {len(lines):,} of {len(self):,} pairs {what}: line {shown}")


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a table, in which each row has both texts."""
    return path.name.lower().removesuffix(".gz").endswith(TABLES)


def read_parallel(source: Path, target: Path, encoding: str) -> Pairs:
    """The pairs of two files, of which line n of one is the translation of line n of the other.

    Raises:
        FileNotFoundError: One is missing.
        UserError: They differ in their numbers of lines, or are not of the encoding.
    """
    sides = [_lines(file, encoding) for file in (source, target)]
    if len(sides[0]) != len(sides[1]):
        longer, shorter = (source, target) if len(sides[0]) > len(sides[1]) else (target, source)
        most, least = sorted(map(len, sides), reverse=True)
        raise UserError(
            f"path: {longer} has {most:,} lines and {shorter} {least:,}: line {least + 1:,} of {longer.name} and all "
            "after it have no counterpart; give files in which each line is the other's translation"
        )
    return _pairs(sides[0], sides[1], np.arange(1, len(sides[0]) + 1), f"{source} and {target.name}")


def read_table(path: Path, source: str, target: str, encoding: str) -> Pairs:
    """The pairs of a table.

    Args:
        path: A .csv or .tsv file with the columns' names in its first line, or a .jsonl file with an object a line. A
            .tsv file has no quotes, only tabs.
        source: Column, or key, of the text to read. A key may also be one of an object ``translation``, as in WMT's
            data.
        target: Column, or key, of the text to write.
        encoding: Of the file.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It lacks a column, or a row is not valid; the message names the line.
    """
    lines, kind = _lines(path, encoding), path.name.lower().removesuffix(".gz")
    if kind.endswith((".csv", ".tsv")):
        rows = _csv_rows(path, lines, "," if kind.endswith(".csv") else "\t")
    else:
        rows = _json_rows(path, lines)
    sides: tuple[list[str], list[str]] = ([], [])
    numbers = []
    for number, row in rows:
        for side, column in zip(sides, (source, target), strict=True):
            side.append(_cell(row, column, f"path {path}: line {number}"))
        numbers.append(number)
    return _pairs(sides[0], sides[1], np.array(numbers, dtype=np.int64), str(path))


def table_pairs(rows: list[dict[str, Any]], source: str, target: str, where: str) -> Pairs:
    """The pairs of rows that are in memory already, such as those of the hub."""
    sides = [
        [_cell(row, column, f"{where}: row {at}") for at, row in enumerate(rows, 1)] for column in (source, target)
    ]
    return _pairs(sides[0], sides[1], np.arange(1, len(rows) + 1), where)


def _pairs(sources: list[str], targets: list[str], lines: np.ndarray, where: str) -> Pairs:
    """Pairs without white space around their texts, and without those that lack a text."""
    made = Pairs([text.strip() for text in sources], [text.strip() for text in targets], lines, where)
    empty = [not source or not target for source, target in zip(made.sources, made.targets, strict=True)]
    made = made.leave_out(np.array(empty, dtype=bool), "have an empty side")
    if not len(made):
        raise UserError(f"path: {where} holds no pair of texts")
    return made


def _lines(path: Path, encoding: str) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"path {path}: no such file")
    encoding = known_encoding(encoding)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"path {path}: cannot be read ({error})") from error
    try:
        return list(lines_of(decoded(content, encoding)))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"path {path}: line {line} is not {encoding}; give --data.text.encoding") from error


def _csv_rows(path: Path, lines: list[str], delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    header: list[str] | None = None
    for line, cells in table_rows(lines, delimiter, quotes=False):
        if isinstance(cells, str):
            raise UserError(f"path {path}: line {line}: {cells}")
        if header is None:
            header = [cell.strip() for cell in cells]
            if twice := next((name for name in header if name and header.count(name) > 1), None):
                raise UserError(f"path {path}: line {line} names two columns {twice!r}; give each a name of its own")
        elif len(cells) != len(header):
            raise UserError(f"path {path}: line {line} has {len(cells)} columns and not {len(header)}")
        else:
            yield line, dict(zip(header, cells, strict=True))


def _json_rows(path: Path, lines: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"path {path}: line {number} is no JSON ({str(error)[:80]})") from error
        if not isinstance(row, dict):
            raise UserError(f"path {path}: line {number} is no object but {type(row).__name__}")
        yield number, row


def _cell(row: Mapping[str, Any], column: str, where: str) -> str:
    nested = row.get("translation")
    if column not in row and isinstance(nested, dict):
        row = nested
    if column not in row:
        names = ", ".join(map(str, row)) or "none"
        raise UserError(f"{where} has no {column!r}, only {names}; give the columns as --data.source and --data.target")
    value = row[column]
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where}: {column} is no text but {type(value).__name__}")
    return value or ""
