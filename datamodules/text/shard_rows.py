"""The texts of parquet and JSON-lines files, one column read piece by piece, without threads.

The readers of ``datasets`` itself start threads of pyarrow. Those of its parquet reader read ahead hundreds of
megabytes, and often hang at the end of a program that has not read all data
(https://github.com/apache/arrow/issues/45214). A process with threads is not safe to fork, which is what a loader does
for its workers.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from seqlight.core.encodings import HEAD, encoding_of

ROWS = 256  # rows that are decoded at a time
HALF_CHARACTERS = re.compile("[\ud800-\udfff]")  # as "\\ud83d" alone, in texts that were cut by their bytes
LOOKED_AT = 100  # rows of a JSON-lines file whose values tell the types of its columns

Part = tuple[str, int | None]  # a file, and the number of one row group of it or None


class Typed:
    """The type of a value, by the name that ``datasets`` gives it."""

    def __init__(self, value: Any) -> None:
        self.dtype = "string" if isinstance(value, str) else type(value).__name__


def shard_features(kind: str, file: str) -> Any:
    """Columns of a parquet or json file with their types."""
    if kind == "json":
        rows = islice(_objects(file), LOOKED_AT)
        return {key: Typed(value) for row in rows for key, value in row.items() if value is not None}
    import datasets
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(file, "rb") as stream:
        return datasets.Features.from_arrow_schema(pq.read_schema(stream))


def shard_dataset(kind: str, files: Sequence[str], column: str, shards: int = 1) -> Any:
    """A ``datasets.IterableDataset`` of the files' texts, with one column, ``text``.

    Args:
        kind: parquet or json (JSON lines).
        files: Paths, or addresses that fsspec can open, such as hf://...; JSON lines may be packed (.gz, .zst).
        column: Column of text.
        shards: Shards wanted. The files are the shards; of parquet files, if they are fewer, the row groups are.
    """
    import datasets

    parts: list[Part] = [(file, None) for file in files]
    if kind == "parquet" and len(files) < shards:
        parts = [(file, group) for file in files for group in range(_row_groups(file))]
    rows = parquet_rows if kind == "parquet" else json_rows
    return datasets.IterableDataset.from_generator(rows, gen_kwargs={"parts": parts, "column": column})


def parquet_rows(parts: Sequence[Part], column: str) -> Iterator[dict[str, str | None]]:
    """The rows of files, or of single row groups of them."""
    import fsspec
    import pyarrow.parquet as pq

    for file, group in parts:
        with fsspec.open(file, "rb") as stream, pq.ParquetFile(stream, pre_buffer=False) as table:
            groups = range(table.num_row_groups) if group is None else [group]
            for batch in table.iter_batches(ROWS, row_groups=list(groups), columns=[column], use_threads=False):
                yield from ({"text": text} for text in batch.column(0).to_pylist())


def json_rows(parts: Sequence[Part], column: str) -> Iterator[dict[str, str | None]]:
    """The rows of JSON-lines files; a row without the column has no text.

    Half a character (a lone surrogate) becomes U+FFFD.
    """
    for file, _ in parts:
        for row in _objects(file):
            text = row.get(column)
            if text is not None and not isinstance(text, str):
                raise ValueError(f"{file}: a value of {column} is no text but {type(text).__name__}")
            yield {"text": text and HALF_CHARACTERS.sub("\N{REPLACEMENT CHARACTER}", text)}


def _objects(file: str) -> Iterator[dict[str, Any]]:
    import fsspec

    with fsspec.open(file, "rb", compression="infer") as stream:
        encoding = encoding_of(stream.read(HEAD))
    with fsspec.open(file, "rt", encoding=encoding, compression="infer") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{file}, line {number}: no JSON ({error})") from None
            if not isinstance(row, dict):
                raise ValueError(f"{file}, line {number}: no object but {type(row).__name__}; give JSON lines")
            yield row


def _row_groups(file: str) -> int:
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(file, "rb") as stream:
        return pq.read_metadata(stream).num_row_groups
