"""Reads tables of numbers with a class in each row from CSV files. A value that is no number is refused."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqlight.core.encodings import decoded, lines_of
from seqlight.core.errors import UserError
from seqlight.core.files.paths import expanded
from seqlight.core.table_rows import table_rows

MAX_BYTES = 1_000_000_000
MOST = float(np.finfo(np.float32).max)  # the models compute in float32
NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")  # as programs write it; 1e3 and inf are names


@dataclass(frozen=True)
class Table:
    """The rows of a file.

    Attributes:
        where: The argument and the file, for messages.
        header: Names of the columns.
        rows: The cells of each row as text, white space around them removed.
        lines: Line that each row begins on, from 1 on.
    """

    where: str
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The cells of a column, none of them empty.

        Raises:
            UserError: There is no such column, or a cell is empty.
        """
        place = self.place(name)
        cells = [row[place] for row in self.rows]
        for line, cell in zip(self.lines, cells, strict=True):
            if not cell:
                raise UserError(f"{self.where}: line {line}, column {name!r}: the value is missing")
        return cells

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """Columns as numbers, (N, len(names)) in float64.

        Raises:
            UserError: There is no such column, or a cell holds no finite number.
        """
        places = [self.place(name) for name in names]
        values = np.empty((len(self.rows), len(names)))
        for at, (line, row) in enumerate(zip(self.lines, self.rows, strict=True)):
            for k, place in enumerate(places):
                try:
                    values[at, k] = float(row[place])
                except ValueError:
                    values[at, k] = math.nan
                if not abs(values[at, k]) <= MOST:
                    fault = f"{row[place]!r} is no finite number" if row[place] else "the value is missing"
                    raise UserError(f"{self.where}: line {line}, column {names[k]!r}: {fault}; mend or delete the row")
        return values

    def place(self, name: str) -> int:
        """Number of a column, from 0 on.

        Raises:
            UserError: There is no such column.
        """
        if name not in self.header:
            raise UserError(f"{self.where}: line 1 names no column {name!r} but {', '.join(self.header)}")
        return self.header.index(name)


def read_csv(path: str, argument: str) -> Table:
    """The table in a CSV file (.csv, or .tsv with tabs) whose first line names the columns.

    Args:
        path: The file, in UTF-8.
        argument: Argument that named it, for messages.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is no CSV, has no names of columns or no rows, or a row is too long or too short.
    """
    file, where = expanded(path), f"{argument} {path}"
    if not file.is_file():
        raise FileNotFoundError(f"{where}: no such file")
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{where}: is larger than {MAX_BYTES / 1e9:.0f} GB; give a part of it")
    rows, lines = [], []
    content = file.read_bytes()
    try:
        text = decoded(content)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{where}: line {line} is not UTF-8; save the table as CSV in UTF-8") from error
    for line, cells in table_rows(list(lines_of(text)), "\t" if file.suffix.lower() == ".tsv" else ","):
        if isinstance(cells, str):
            raise UserError(f"{where}: line {line}: {cells}")
        rows.append([cell.strip() for cell in cells])
        lines.append(line)
    if len(rows) < 2:
        raise UserError(f"{where}: has no rows; give a line with the columns' names and a line for each row")
    header = rows[0]
    if found := next(filter(NUMBER.fullmatch, header), None):
        raise UserError(
            f"{where}: line 1 holds the number {found}; if it is a row, put a line with the columns' names before it, "
            "and if it is a name, put a letter before it"
        )
    if len(header) == 1 and (other := next((sign for sign in ";\t" if sign in header[0]), None)):
        raise UserError(
            f"{where}: line 1 separates the columns' names by {other!r}; save the table with commas, and numbers with "
            "points" + (", or call the file .tsv" if other == "\t" else "")
        )
    if len(set(header)) < len(header) or "" in header:
        raise UserError(f"{where}: line 1 must give each column a name of its own, not {', '.join(map(repr, header))}")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise UserError(f"{where}: line {line} has {len(row)} values, but there are {len(header)} columns")
    return Table(where, header, rows[1:], lines[1:])


def is_number(cell: str) -> bool:
    """Whether a cell can be read as a number, infinite and NaN among them."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
