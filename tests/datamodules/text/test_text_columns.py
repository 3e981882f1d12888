"""One column of a table as the text: CSV, TSV, JSON lines, parquet; rows that are wrong, columns that are not there."""

import csv
import json
import os
from pathlib import Path

import pytest

from datamodules.text.corpus import CorpusDataModule
from datamodules.text.text_columns import column_text
from seqlight.core.errors import UserError

ROWS = ["It was, she said, late.", 'A "word"\nand a line', "", "naïve €", "last\n", "=1+1"]
TEXT = 'It was, she said, late.\nA "word"\nand a line\nnaïve €\nlast\n=1+1'


def write(folder: Path, ending: str) -> Path:
    path = folder / f"rows{ending}"
    if ending in (".csv", ".tsv"):
        rows = ROWS if ending == ".csv" else [row.replace("\n", " ") for row in ROWS]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if ending == ".csv" else "\t")
            writer.writerows([("id", "body"), *enumerate(rows)])
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps({"id": i, "body": row or None}) + "\n" for i, row in enumerate(ROWS)))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"id": list(range(len(ROWS))), "body": ROWS}), path)
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_column_is_the_text(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path, ending)
    assert column_text(tmp_path / "cache", [path], "body").read_text(encoding="utf-8") == TEXT
    data = CorpusDataModule(path=str(tmp_path), text={"column": "body"}, split={"val_fraction": 0.2})
    assert data.train_text() + data.val_text() == TEXT
    assert len(data.val_text()) == 13


def test_tables_of_a_folder_follow_each_other_and_a_changed_one_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("n\tbody\n1\tone\n2\ttwo\n")
    (tmp_path / "b.csv").write_text("body,n\nthree,3\n")
    files = [tmp_path / "a.tsv", tmp_path / "b.csv"]
    assert column_text(tmp_path, files, "body").read_text() == "one\ntwo\nthree"
    (tmp_path / "b.csv").write_text("body,n\nthree,3\nfour,4\n")
    assert column_text(tmp_path, files, "body").read_text() == "one\ntwo\nthree\nfour"


def test_rows_of_another_width_are_left_out_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('body,n\ngood,1\nbad\n"open,2\nfine,3\n')
    with pytest.warns(UserWarning, match="2 rows without 2 columns are left out: line 3, line 4"):
        assert column_text(tmp_path, [path], "body").read_text() == "good\nfine"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "text,n\na,1\n", "line 1 names no column 'body' but \\['text', 'n'\\]; give --data.text.column"),
        ("t.jsonl", '{"text": "a"}\n', "has no column 'body' but text; give --data.text.column"),
        ("t.jsonl", '{"body": 3}\n', "cannot be read .*a value of body is no text but int"),
        ("t.jsonl", "{\n", "line 1: no JSON"),
        ("t.txt", "a\n", "has no columns, and text.column 'body' is given"),
        ("t.csv", b"body\n\xe9t\xe9\n", "byte 5 is not utf-8; give the file's --data.text.encoding"),
        ("t.parquet", "no parquet", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(name: str, content: str | bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said):
        column_text(tmp_path, [path], "body")


def test_books_in_the_cells_of_a_table_are_whole(tmp_path: Path) -> None:
    book = "\n".join(f"It was a dark night, number {n}" for n in range(6_000))
    (tmp_path / "books.csv").write_text(f'title,text\none,"{book}"\ntwo,short\n')
    assert column_text(tmp_path, [tmp_path / "books.csv"], "text").read_text() == f"{book}\nshort"


def test_new_contents_count_though_the_time_of_change_is_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("text\nold words\n")
    before = file.stat().st_mtime_ns
    assert column_text(tmp_path, [file], "text").read_text() == "old words"
    file.write_text("text\nnew words\n")
    os.utime(file, ns=(before, before))
    assert column_text(tmp_path, [file], "text").read_text() == "new words"


def test_a_file_without_rows_is_passed_over_and_half_characters_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").write_text("")
    (tmp_path / "1.jsonl").write_text(r'{"text": "cut \ud83d"}' + "\n")
    files = [tmp_path / "0.jsonl", tmp_path / "1.jsonl"]
    assert column_text(tmp_path, files, "text").read_text(encoding="utf-8") == "cut \N{REPLACEMENT CHARACTER}"


def test_a_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": [1, 2], "text": ["a", "b"]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"column 'id' is no text but int64"):
        column_text(tmp_path, [tmp_path / "t.parquet"], "id")
