"""The rows of CSV and TSV. A quote that is never closed spoils its own row, and not the rest of the file."""

import csv
from collections.abc import Iterator, Sequence

ROW_LINES = 2_000  # that a quoted row of CSV may span by default
TAB = "\t"
csv.field_size_limit(2**31 - 1)  # the csv module's own limit, 131,072 characters, is less than a book
FAULTS = {  # what csv says of a row, in other words
    "unexpected end of data": "a quote is not closed",
    "',' expected after '\"'": "a quote is not closed, or a quote within the text is not doubled",
}


def table_rows(
    lines: Sequence[str], delimiter: str, quotes: bool = True, row_lines: int = ROW_LINES
) -> Iterator[tuple[int, list[str] | str]]:
    """The rows that are not empty, each with the line that it begins on, from 1 on.

    A row of CSV is read strictly: what follows a closing quote must be a comma or the line's end. Many programs write
    TSV without quotes; a line of it whose quotes do not fit these rules is divided at its tabs alone, and a row has one
    line.

    Args:
        lines: The lines of the file, without their ends.
        delimiter: ``,`` or a tab.
        quotes: Whether quotes around a cell of TSV are none of its text.
        row_lines: Most lines of a quoted row of CSV; a quote that is not closed by then spoils its own row.

    Yields:
        The line, and the cells, or what is wrong with the row.
    """
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
        elif delimiter == TAB:
            yield at + 1, tab_cells(lines[at], quotes)
            at += 1
        elif '"' not in lines[at]:
            yield at + 1, lines[at].split(delimiter)
            at += 1
        else:
            reader = csv.reader(
                (lines[i] + "\n" for i in range(at, min(at + row_lines, len(lines)))), delimiter=delimiter, strict=True
            )
            try:
                cells = next(reader)
            except csv.Error as error:
                yield at + 1, FAULTS.get(str(error), str(error))
                at += 1
            else:
                yield at + 1, cells
                at += reader.line_num


def tab_cells(line: str, quotes: bool) -> list[str]:
    """The cells of a line of TSV."""
    if quotes and '"' in line:
        try:
            return next(csv.reader((line,), delimiter=TAB, strict=True))
        except csv.Error:
            pass
    return line.split(TAB)
