"""Rows of CSV and TSV, with quotes that are never closed."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlight.core.table_rows import table_rows

CELLS = st.text(st.sampled_from('a b,"\n\u00e9'), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), min_size=1, max_size=5))
def test_what_csv_writes_is_read(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    assert [cells for _, cells in table_rows(written.getvalue().split("\n"), ",")] == rows


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ('a,b\n"c,d\ne,f\ng,h', [2]),
        ('a,b\nc,"d\ne,f\ng,h', [2]),
        ('"a,b\nc,"d\ne,f', [1, 2]),
        ('a,"b" x\n"c,""d"\ne,f', [1]),
        ('"never\n"again\n\n"closed", x', [1, 2]),
    ],
)
def test_an_open_quote_spoils_its_own_row(text: str, faults: list[int]) -> None:
    rows = dict(table_rows(text.split("\n"), ","))
    assert [line for line, cells in rows.items() if isinstance(cells, str)] == faults
    assert all("quote" in str(rows[line]) for line in faults)
    assert [line for line in rows if line not in faults] == [
        line for line, row in enumerate(text.split("\n"), 1) if row and line not in faults
    ]


@pytest.mark.parametrize(
    ("line", "cells"),
    [('"a"\t"b ""c"""', ["a", 'b "c"']), ('"Hm" and\tb', ['"Hm" and', "b"]), ('"open\tb', ['"open', "b"])],
)
def test_tabs_have_quotes_only_where_they_fit(line: str, cells: list[str]) -> None:
    assert list(table_rows([line], "\t")) == [(1, cells)]
    assert list(table_rows([line], "\t", quotes=False)) == [(1, line.split("\t"))]


def test_a_cell_may_be_a_book() -> None:
    book = "\n".join(f"It was a dark night, number {n}" for n in range(6_000))
    lines = f'title,text\none,"{book}"\ntwo,short'.split("\n")
    rows = [cells for _, cells in table_rows(lines, ",", row_lines=len(lines))]
    assert rows == [["title", "text"], ["one", book], ["two", "short"]]
    assert dict(table_rows(["x", '"' + "a" * 200_000 + '"'], ","))[2] == ["a" * 200_000]
