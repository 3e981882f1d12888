"""One column of CSV, TSV, JSON-lines or parquet files as one text."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_warn

from datamodules.loading.cache import once
from datamodules.text.shard_rows import json_rows, parquet_rows, shard_features
from seqlight.core.encodings import decoded, lines_of
from seqlight.core.errors import UserError, reason_of
from seqlight.core.files.digests import print_of_all
from seqlight.core.files.found_files import printable
from seqlight.core.table_rows import table_rows

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SHARDS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}
TABLES = (*DELIMITERS, *SHARDS)
MAX_BYTES = 1_000_000_000  # of one CSV file, which is read whole
SHOWN = 5  # rows that a warning names


def column_text(folder: Path, files: Sequence[Path], column: str, encoding: str = "utf-8") -> Path:
    """A column of some files as a text file, row after row. A row that does not end its line gets a line end.

    Args:
        folder: Where the text file is kept.
        files: The files; all have the column.
        column: Its name.
        encoding: Of CSV and TSV files.

    Raises:
        UserError: A file is no table, cannot be read or lacks the column.
    """
    marks = (print_of_all(files), [file.suffix.lower() for file in files], column, encoding)
    name = hashlib.sha256(repr(marks).encode()).hexdigest()[:12]

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as text:
            for row in joined(row for file in files for row in _column(file, column, encoding)):
                text.write(row)

    return once(folder / f"column-{name}.txt", write)


def joined(rows: Iterable[str]) -> Iterator[str]:
    """Texts to be put together, each with a line end before it where the text before ends no line."""
    open_line = False
    for text in rows:
        yield "\n" + text if open_line else text
        open_line = bool(text) and not text.endswith("\n")


def _column(file: Path, column: str, encoding: str) -> Iterator[str]:
    kind = file.suffix.lower()
    where = f"path {printable(file)}"
    if kind in DELIMITERS:
        yield from _table_column(file, DELIMITERS[kind], column, encoding, where)
    elif kind in SHARDS:
        try:
            names = shard_features(SHARDS[kind], str(file))
            if SHARDS[kind] == "json" and not names:  # a file without rows
                return
            if column not in names:
                raise UserError(f"{where} has no column {column!r} but {', '.join(names)}; give --data.text.column")
            dtype = getattr(names[column], "dtype", "list")
            if SHARDS[kind] == "parquet" and not dtype.endswith("string"):
                raise UserError(f"{where}: column {column!r} is no text but {dtype}; give --data.text.column")
            read = json_rows if SHARDS[kind] == "json" else parquet_rows
            yield from (row["text"] or "" for row in read([(str(file), None)], column))
        except UserError:
            raise
        except (ValueError, OSError, RuntimeError, RecursionError) as error:  # pyarrow's are of these kinds
            raise UserError(f"{where} cannot be read ({reason_of(error)})") from error
    else:
        raise UserError(
            f"{where} has no columns, and text.column {column!r} is given; leave it out, or give one of "
            f"{', '.join(TABLES)}"
        )


def _table_column(file: Path, delimiter: str, column: str, encoding: str, where: str) -> Iterator[str]:
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"{where} is larger than {MAX_BYTES / 1e9:.0f} GB; convert it to JSON lines or parquet")
    try:
        lines = list(lines_of(decoded(file.read_bytes(), encoding)))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: byte {error.start} is not {encoding}; give the file's --data.text.encoding, such as latin-1"
        ) from error
    rows = table_rows(lines, delimiter, row_lines=len(lines))  # a cell may be a whole book
    _, header = next(rows, (1, []))
    names = [header] if isinstance(header, str) else [cell.strip() for cell in header]
    if names.count(column) > 1:
        raise UserError(f"{where}: line 1 names {names.count(column)} columns {column!r}; give each a name of its own")
    if column not in names:
        raise UserError(f"{where}: line 1 names no column {column!r} but {names}; give --data.text.column")
    place, faults = names.index(column), []
    for line, cells in rows:
        if isinstance(cells, str) or len(cells) != len(names):
            faults.append(f"line {line}")
        else:
            yield cells[place]
    if faults:
        shown = ", ".join(faults[:SHOWN])
        rank_zero_warn(f"{where}: {len(faults)} rows without {len(names)} columns are left out: {shown}")
