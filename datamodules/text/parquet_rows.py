"""The texts of parquet files, one column read piece by piece.

The reader is pyarrow's ``ParquetFile``. The one that ``datasets`` uses by itself, ``Fragment.to_batches``, reads ahead
hundreds of megabytes, and its threads often hang at the end of a program that has not read to the end of the data
(https://github.com/apache/arrow/issues/45214).
"""

from collections.abc import Iterator, Sequence
from typing import Any

ROWS = 256  # rows that are decoded at a time


def parquet_features(file: str) -> Any:
    """Names and types of the columns, as ``datasets.Features``."""
    import datasets
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(file, "rb") as stream:
        return datasets.Features.from_arrow_schema(pq.read_schema(stream))


def parquet_dataset(files: Sequence[str], column: str, shards: int = 1) -> Any:
    """A ``datasets.IterableDataset`` of the files' texts, with one column, ``text``.

    Args:
        files: Paths, or addresses that fsspec can open, such as hf://...
        column: Column of text.
        shards: Shards wanted. The files are the shards; if they are fewer, the row groups of the files are.
    """
    import datasets

    parts: list[tuple[str, int | None]] = [(file, None) for file in files]
    if len(files) < shards:
        parts = [(file, group) for file in files for group in range(_row_groups(file))]
    return datasets.IterableDataset.from_generator(parquet_rows, gen_kwargs={"parts": parts, "column": column})


def parquet_rows(parts: Sequence[tuple[str, int | None]], column: str) -> Iterator[dict[str, str | None]]:
    """The rows of files, or of single row groups of them (path, number of the group)."""
    import fsspec
    import pyarrow.parquet as pq

    for file, group in parts:
        with fsspec.open(file, "rb") as stream, pq.ParquetFile(stream, pre_buffer=False) as table:
            groups = range(table.num_row_groups) if group is None else [group]
            for batch in table.iter_batches(ROWS, row_groups=list(groups), columns=[column], use_threads=False):
                yield from ({"text": text} for text in batch.column(0).to_pylist())


def _row_groups(file: str) -> int:
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(file, "rb") as stream:
        return pq.read_metadata(stream).num_row_groups
